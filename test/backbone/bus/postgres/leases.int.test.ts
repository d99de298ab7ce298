import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventBus } from '../../../../backbone/bus/event-bus.js';
import { pause } from '../../../../platform/lifecycle/wait.js';
import { eventually, within } from '../../../world/eventually.js';
import { createGate, createRecorder, numbers, record, sequence } from '../contract.js';
import { createPostgresBusWorld, type PostgresBusWorld } from './postgres-world.js';

const ttlMs = 900;

describe('leases of the bus on PostgreSQL', () => {
  let world: PostgresBusWorld;
  let bus: EventBus;
  beforeAll(async () => {
    world = await createPostgresBusWorld(ttlMs);
    bus = await world.createBus();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  const makeTopic = async (partitions: number): Promise<string> => {
    const topic = `topic.${randomUUID()}`;
    await bus.ensureTopics([{ name: topic, partitions, retentionMs: 3_600_000 }]);
    return topic;
  };
  interface LeaseRow {
    readonly partition: number;
    readonly owner: string | null;
    readonly epoch: bigint;
    readonly committed: bigint;
  }
  const leases = async (group: string): Promise<LeaseRow[]> => {
    const { rows } = await world.database.pool.query(
      'SELECT partition, owner, epoch, committed FROM bus.leases WHERE group_id = $1 ORDER BY topic, partition',
      [group],
    );
    return rows as LeaseRow[];
  };

  test('a member whose lease was taken hears of it, and can not move the offset any more', async () => {
    const topic = await makeTopic(1);
    const group = randomUUID();
    const gate = createGate();
    const recorder = createRecorder(() => gate.opened);
    let signal: AbortSignal | undefined;
    const subscription = await bus.subscribe({ group, topics: [topic] }, (batch) => {
      signal ??= batch.signal;
      return recorder.handle(batch);
    });
    await bus.publish(topic, sequence('k', 3));
    await eventually(() => expect(signal).toBeDefined());
    await world.database.pool.query(
      `UPDATE bus.leases SET owner = 'thief', epoch = epoch + 1, expires_at = now() + interval '1 minute' WHERE group_id = $1`,
      [group],
    );
    await eventually(() => expect(signal?.aborted).toBe(true), ttlMs);
    gate.open();
    await eventually(() => expect(recorder.records).toHaveLength(3));
    await subscription.stop();
    expect(await leases(group)).toMatchObject([{ owner: 'thief', committed: 0n }]);
  });

  test('a commit under a lease that was taken meanwhile moves nothing, and the batch is given again to the next owner', async () => {
    const topic = await makeTopic(1);
    const group = randomUUID();
    let calls = 0;
    const recorder = createRecorder(async () => {
      calls += 1;
      if (calls > 1) return;
      await world.database.pool.query(
        `UPDATE bus.leases SET owner = 'thief', epoch = epoch + 1, expires_at = now() + interval '300 ms' WHERE group_id = $1`,
        [group],
      );
    });
    const subscription = await bus.subscribe({ group, topics: [topic] }, recorder.handle);
    await bus.publish(topic, sequence('k', 3));
    await eventually(() => expect(recorder.values()).toEqual([...numbers(3), ...numbers(3)]));
    await eventually(async () => expect(await leases(group)).toMatchObject([{ committed: 3n }]));
    await subscription.stop();
  });

  test('a member that can not renew its leases lets them go by its own clock, and takes the partition again only after its old handler', async () => {
    const topic = await makeTopic(1);
    const group = randomUUID();
    const gate = createGate();
    const signals: AbortSignal[] = [];
    const recorder = createRecorder(async (batch) => {
      signals.push(batch.signal);
      if (signals.length === 1) await gate.opened;
    });
    const subscription = await bus.subscribe({ group, topics: [topic] }, recorder.handle);
    await bus.publish(topic, sequence('k', 3));
    await eventually(() => expect(signals).toHaveLength(1));
    // A database that answers nothing about leases.
    const client = await world.database.pool.connect();
    await client.query('BEGIN; LOCK TABLE bus.leases IN ACCESS EXCLUSIVE MODE');
    await eventually(() => expect(signals[0]?.aborted).toBe(true), ttlMs + 1_000);
    await eventually(() => expect(subscription.ready()).rejects.toThrow(group), 3 * ttlMs);
    await client.query('ROLLBACK');
    client.release();
    await eventually(async () => {
      const [lease] = await leases(group);
      expect(lease?.owner).not.toBeNull();
      expect(lease?.epoch).toBeGreaterThan(1n);
    });
    await eventually(() => expect(subscription.ready()).resolves.toBeUndefined());
    expect(signals).toHaveLength(1);
    gate.open();
    await eventually(() => expect(signals).toHaveLength(2));
    await eventually(async () => expect(await leases(group)).toMatchObject([{ committed: 3n }]));
    await subscription.stop();
  });

  test('a lease that a member owns without knowing is not kept from the group', async () => {
    const topic = await makeTopic(2);
    const group = randomUUID();
    const recorder = createRecorder();
    // Somebody else who lives, and does not take its share yet.
    await world.database.pool.query(
      `INSERT INTO bus.members (group_id, member, expires_at) VALUES ($1, 'zzz', now() + interval '1 hour')`,
      [group],
    );
    const subscription = await bus.subscribe({ group, topics: [topic] }, recorder.handle);
    const [first, second] = await leases(group);
    expect(first?.owner).not.toBeNull();
    expect(second?.owner).toBeNull();
    // As when the answer to the request for it was lost.
    await world.database.pool.query(
      `UPDATE bus.leases SET owner = $2, epoch = epoch + 1, expires_at = now() + interval '10 seconds' WHERE group_id = $1 AND partition = 1`,
      [group, first?.owner],
    );
    await eventually(async () => expect((await leases(group))[1]?.owner).toBeNull());
    await world.database.pool.query(`DELETE FROM bus.members WHERE member = 'zzz' AND group_id = $1`, [group]);
    await bus.publish(topic, [record('k', 'now', 1)]);
    await eventually(() => expect(recorder.values()).toEqual(['now']));
    await subscription.stop();
  });

  test('a member that died is forgotten, and its partitions go to those that live', async () => {
    const topic = await makeTopic(2);
    const group = randomUUID();
    await world.database.pool.query(
      `INSERT INTO bus.members (group_id, member, expires_at) VALUES ($1, 'aaa', now() + interval '600 ms')`,
      [group],
    );
    const recorder = createRecorder();
    const subscription = await bus.subscribe({ group, topics: [topic] }, recorder.handle);
    await bus.publish(topic, [record('k', '0', 0), record('k', '1', 1)]);
    await eventually(() => expect(recorder.values().sort()).toEqual(['0', '1']));
    const { rows } = await world.database.pool.query('SELECT member FROM bus.members WHERE group_id = $1', [group]);
    expect(rows).toHaveLength(1);
    await subscription.stop();
  });

  test('a stop keeps the lease of a batch that takes longer than a lease lasts, until it is committed', async () => {
    const topic = await makeTopic(1);
    const group = randomUUID();
    let entered = false;
    const first = createRecorder(async () => {
      entered = true;
      await pause(2 * ttlMs);
    });
    const leaving = await (
      await world.createBus({ stopGraceMs: 10_000 })
    ).subscribe({ group, topics: [topic] }, first.handle);
    await bus.publish(topic, sequence('k', 3));
    await eventually(() => expect(entered).toBe(true));
    const second = createRecorder();
    const staying = await bus.subscribe({ group, topics: [topic] }, second.handle);
    await leaving.stop();
    expect(first.values()).toEqual(numbers(3));
    await bus.publish(topic, sequence('k', 1, 3));
    await eventually(() => expect(second.values()).toEqual(['3']));
    await staying.stop();
  });

  test('a stop does not wait for ever: it aborts a handler that takes too long, and leaves one that does not care', async () => {
    const topic = await makeTopic(1);
    const group = randomUUID();
    const signals: AbortSignal[] = [];
    const impatient = await world.createBus({ stopGraceMs: 150 });
    const subscription = await impatient.subscribe({ group, topics: [topic] }, async ({ signal }) => {
      signals.push(signal);
      await new Promise(() => undefined);
    });
    await bus.publish(topic, sequence('k', 3));
    await eventually(() => expect(signals).toHaveLength(1));
    await within(subscription.stop(), 5_000, 'the stop');
    expect(signals[0]?.aborted).toBe(true);
    expect(await leases(group)).toMatchObject([{ owner: null, committed: 0n }]);
    const recorder = createRecorder();
    const next = await bus.subscribe({ group, topics: [topic] }, recorder.handle);
    await eventually(() => expect(recorder.values()).toEqual(numbers(3)));
    await next.stop();
  });

  test('a batch that is refused during a stop is left to the next owner at once', async () => {
    const topic = await makeTopic(1);
    const group = randomUUID();
    let refusals = 0;
    const subscription = await bus.subscribe({ group, topics: [topic] }, async () => {
      refusals += 1;
      throw new Error('refused');
    });
    await bus.publish(topic, sequence('k', 2));
    await eventually(() => expect(refusals).toBeGreaterThan(0));
    await within(subscription.stop(), 2_000, 'the stop');
    expect(await leases(group)).toMatchObject([{ owner: null, committed: 0n }]);
    const recorder = createRecorder();
    const next = await bus.subscribe({ group, topics: [topic] }, recorder.handle);
    await eventually(() => expect(recorder.values()).toEqual(numbers(2)));
    await next.stop();
  });

  test('more members than partitions: the rest stand by and step in', async () => {
    const topic = await makeTopic(2);
    const group = randomUUID();
    const recorders = Array.from({ length: 4 }, () => createRecorder());
    const subscriptions = await Promise.all(
      recorders.map(async (recorder) =>
        (await world.createBus()).subscribe({ group, topics: [topic] }, recorder.handle),
      ),
    );
    for (let turn = 0; subscriptions.length > 0; turn += 1) {
      await bus.publish(topic, [record('a', String(turn), 0), record('b', String(turn), 1)]);
      await eventually(() => expect(recorders.flatMap(({ records }) => records)).toHaveLength(2 * (turn + 1)));
      await subscriptions.pop()?.stop();
    }
    expect((await bus.lag(group)).get(topic)).toBe(0);
    expect(await leases(group)).toMatchObject([{ owner: null }, { owner: null }]);
  });
});
