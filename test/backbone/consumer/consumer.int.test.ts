/** The consumer runtime: what blocks, what is poison, what is skipped, and what a stop leaves behind. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createPool } from '../../../platform/database/pool.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { silentLog } from '../../world/database.js';
import { eventually, within } from '../../world/eventually.js';
import { backbones, createConsumerWorld, type ConsumerWorld } from './consumer-world.js';
import { named, nameOf, topic } from './named-events.js';

/** A handler that keeps the names it has taken, and fails as it is told for each. */
function recorder(fail: (name: string) => void = () => undefined) {
  const taken: string[] = [];
  const tries = new Map<string, number>();
  return {
    taken,
    tries,
    handle: async (events: readonly { event: Parameters<typeof nameOf>[0] }[]) => {
      const names = events.map(({ event }) => nameOf(event));
      for (const name of names) {
        tries.set(name, (tries.get(name) ?? 0) + 1);
        fail(name);
      }
      taken.push(...names);
    },
  };
}

describe.each(backbones)('a consumer on %s', (backbone) => {
  let world: ConsumerWorld;
  beforeEach(async () => {
    world = await createConsumerWorld(backbone);
  });
  afterEach(() => world[Symbol.asyncDispose]());

  test('events come in order and are committed once they are handled', async () => {
    const { taken, handle } = recorder();
    await world.consume({ handle, maxBatchSize: 4 });
    const names = Array.from({ length: 10 }, (_unused, index) => String(index));
    await world.publish(...names.map(named));
    await eventually(() => expect(taken).toEqual(names));
    await eventually(async () => expect(await world.lag()).toBe(0));
  });

  test('a poison event is tried three times, goes to the dead letters, and the rest goes on in order', async () => {
    const { taken, tries, handle } = recorder((name) => {
      if (name === 'poison') throw new TypeError('cannot read that');
    });
    await world.publish(...['a', 'b', 'poison', 'c', 'd'].map(named));
    await world.consume({ handle });
    await eventually(() => expect(taken).toEqual(['a', 'b', 'c', 'd']));
    // Once with its batch, then alone after each delay.
    expect(tries.get('poison')).toBe(1 + 3);
    expect(await world.deadLetters()).toEqual([
      {
        consumer: 'consumer',
        offset: 2n,
        key: 'device',
        value: expect.stringContaining('"poison"') as string,
        type: 'io.fleetgraph.device.registered.v1',
        tenant: 'acme',
        cause: 'cannot read that',
        attempts: 3,
      },
    ]);
    await eventually(async () => expect(await world.lag()).toBe(0));
    expect(await world.metrics.metrics()).toContain(
      'fleetgraph_consumer_events_total{consumer="consumer",result="dead_lettered"} 1',
    );
  });

  test.each<[string, () => Promise<never> | never]>([
    [
      'has a value that is too large',
      () => {
        throw new FleetgraphError('BAD_USER_INPUT', 'The state is 70000 bytes of JSON.');
      },
    ],
    ['has a value that the database can not store', () => world.database.pool.query("SELECT '12x'::int") as never],
    [
      'breaks a constraint, whatever the error is wrapped in',
      async () => {
        try {
          await world.database.pool.query(
            "INSERT INTO bus.topics (name, partitions, retention_ms) VALUES ('t', null, 1)",
          );
        } catch (cause) {
          throw new Error('The topic was not written.', { cause });
        }
        throw new Error('The topic was written.');
      },
    ],
    ['has a time that is none', () => new Date(Number.NaN).toISOString() as never],
    ['is not of its schema', () => z.string().parse(12) as never],
  ])('an event that %s is a dead letter at once: no other waits for it', async (_what, fail) => {
    const taken: string[] = [];
    await world.publish(...['a', 'poison', 'b', 'poison', 'c'].map(named));
    await world.consume({
      retryDelaysMs: [0, 3_600_000],
      async handle(events) {
        for (const { event } of events) {
          if (nameOf(event) === 'poison') await fail();
          if (!taken.includes(nameOf(event))) taken.push(nameOf(event));
        }
      },
    });
    await eventually(() => expect(taken).toEqual(['a', 'b', 'c']));
    await eventually(async () => expect((await world.deadLetters()).map(({ attempts }) => attempts)).toEqual([1, 1]));
  });

  test('an event that fails once is handled at the next try and is no dead letter', async () => {
    let failed = false;
    const { taken, handle } = recorder((name) => {
      if (name === 'shy' && !failed) {
        failed = true;
        throw new Error('not now');
      }
    });
    await world.publish(named('shy'));
    await world.consume({ handle });
    await eventually(() => expect(taken).toEqual(['shy']));
    expect(await world.deadLetters()).toEqual([]);
  });

  test('what is no event goes to the dead letters, after what came before it', async () => {
    const { taken, handle } = recorder();
    const good = named('good');
    await world.publish(
      good,
      { key: 'k', value: 'not json', headers: good.headers },
      { key: 'k', value: '{}', headers: {} },
      { ...good, headers: { ...good.headers, ce_type: 'io.example.unknown' } },
      { ...good, value: '{"deviceId":1}' },
      named('after'),
    );
    await world.consume({ handle });
    await eventually(() => expect(taken).toEqual(['good', 'after']));
    expect((await world.deadLetters()).map(({ offset, attempts }) => [offset, attempts])).toEqual([
      [1n, 1],
      [2n, 1],
      [3n, 1],
      [4n, 1],
    ]);
  });

  test('a record that PostgreSQL can not store as it is becomes a dead letter all the same', async () => {
    const { taken, handle } = recorder();
    const good = named('after');
    await world.publish({ key: 'k', value: '"a \\u0000 b"', headers: { ...good.headers, ce_actor: 'x' } }, good);
    await world.consume({
      handle: async (events) => {
        if (events.some(({ event }) => nameOf(event) !== 'after')) throw new Error('nul \u0000 inside');
        await handle(events);
      },
    });
    await eventually(() => expect(taken).toEqual(['after']));
    expect(await world.deadLetters()).toHaveLength(1);
  });

  test('other types are skipped without being decoded', async () => {
    const { taken, handle } = recorder();
    const good = named('mine');
    await world.publish(
      { ...good, value: 'not json', headers: { ...good.headers, ce_type: 'io.fleetgraph.command.sent.v1' } },
      good,
    );
    await world.consume({ handle, types: ['io.fleetgraph.device.registered.v1'] });
    await eventually(() => expect(taken).toEqual(['mine']));
    expect(await world.deadLetters()).toEqual([]);
    await eventually(async () => expect(await world.lag()).toBe(0));
  });

  test('a failure of the infrastructure blocks: nothing is skipped, buried or committed until it works again', async () => {
    let away = true;
    const { taken, tries, handle } = recorder(() => {
      if (away) throw new FleetgraphError('UNAVAILABLE', 'the database is away');
    });
    await world.publish(...['a', 'b'].map(named));
    const consumer = await world.consume({ handle, maxBatchSize: 1 });
    await eventually(() => expect(tries.get('a')).toBeGreaterThan(4));
    await expect(consumer.ready?.()).rejects.toThrow('blocked: the database is away');
    expect(await world.metrics.metrics()).toContain('fleetgraph_consumer_blocked{consumer="consumer"} 1');
    expect(tries.get('b')).toBeUndefined();
    expect(await world.lag()).toBe(2);
    away = false;
    await eventually(() => expect(taken).toEqual(['a', 'b']));
    await consumer.ready?.();
    expect(await world.metrics.metrics()).toContain('fleetgraph_consumer_blocked{consumer="consumer"} 0');
    expect(await world.deadLetters()).toEqual([]);
  });

  test('a dead letter that can not be written blocks, and is written when it can', async () => {
    const { taken, handle } = recorder((name) => {
      if (name === 'poison') throw new Error('no');
    });
    const { pool } = world.database;
    const blocker = await pool.connect();
    await blocker.query('BEGIN');
    await blocker.query('LOCK TABLE dead_letters.dead_letters IN ACCESS EXCLUSIVE MODE');
    await world.publish(...['poison', 'after'].map(named));
    // Each session that waits for the table gives up soon, as it would if the database were away.
    await pool.query(`ALTER DATABASE ${new URL(world.database.url).pathname.slice(1)} SET lock_timeout = '20ms'`);
    const impatient = createPool({ url: world.database.url, size: 2, applicationName: 'impatient', log: silentLog });
    const consumer = await world.consume({ handle, pool: impatient });
    await eventually(() => expect(consumer.ready?.()).rejects.toThrow('blocked'));
    expect(taken).toEqual([]);
    await blocker.query('ROLLBACK');
    blocker.release();
    await eventually(() => expect(taken).toEqual(['after']));
    expect(await world.deadLetters()).toHaveLength(1);
    await consumer.stop();
    await impatient.end();
  });

  test('a stop lets the batch in hand finish and commit; what is left comes to the next', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const first = recorder();
    let holding = false;
    const consumer = await world.consume({
      maxBatchSize: 2,
      handle: async (events) => {
        await first.handle(events);
        holding = true;
        await held;
      },
    });
    await world.publish(...['a', 'b', 'c', 'd'].map(named));
    await eventually(() => expect(holding).toBe(true));
    const stopped = consumer.stop();
    release();
    await within(stopped, 10_000, 'stopping');
    const inHand = [...first.taken];
    expect(inHand.length).toBeGreaterThan(0);
    expect(await world.lag()).toBe(4 - inHand.length);
    const second = recorder();
    await world.consume({ handle: second.handle });
    await eventually(() => expect([...inHand, ...second.taken]).toEqual(['a', 'b', 'c', 'd']));
  });

  test('a stop while blocked ends, with nothing committed', async () => {
    const consumer = await world.consume({
      handle: async () => {
        throw new FleetgraphError('UNAVAILABLE', 'away');
      },
    });
    await world.publish(named('a'));
    await eventually(() => expect(consumer.ready?.()).rejects.toThrow('blocked'));
    await within(consumer.stop(), 30_000, 'stopping');
    expect(await world.lag()).toBe(1);
    expect(await world.deadLetters()).toEqual([]);
  });

  test('a record that is delivered again after it was buried is one dead letter', async () => {
    await world.publish(named('poison'));
    const fail = async () => {
      throw new Error('no');
    };
    const consumer = await world.consume({ handle: fail });
    await eventually(async () => expect(await world.lag()).toBe(0));
    await consumer.stop();
    await world.rewind();
    await world.consume({ handle: fail });
    await eventually(async () => expect(await world.lag()).toBe(0));
    expect(await world.deadLetters()).toHaveLength(1);
  });

  test('two groups each get everything', async () => {
    const [one, two] = [recorder(), recorder()];
    await world.consume({ name: 'one', handle: one.handle });
    await world.consume({ name: 'two', handle: two.handle });
    await world.bus.publish(topic, [named('x')]);
    await eventually(() => expect([one.taken, two.taken]).toEqual([['x'], ['x']]));
  });
});
