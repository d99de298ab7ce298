/** What waits for the bus is bounded, keeps its order whatever fails, and is given up when a stop has waited long enough. */
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EventBus, OutgoingRecord } from '../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { createDurablePublisher, type DurablePublisher } from '../../../bridge/intake/durable-publisher.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';
import { eventually, within } from '../../world/eventually.js';

let database: TestDatabase;
let real: EventBus;
let topics = 0;
beforeAll(async () => {
  database = await createDatabase();
  real = createPostgresBus({ pool: database.pool, databaseUrl: database.url, log: silentLog, metrics: new Registry() });
});
afterAll(async () => {
  await real.close();
  await database[Symbol.asyncDispose]();
});

const record = (value: string): OutgoingRecord => ({ key: 'd', value, headers: {} });

async function newTopic(): Promise<string> {
  topics += 1;
  const name = `topic-${topics}`;
  await real.ensureTopics([{ name, partitions: 1, retentionMs: 3_600_000 }]);
  return name;
}

async function storedIn(topic: string): Promise<string[]> {
  const { rows } = await database.pool.query<{ value: string }>(
    'SELECT value FROM bus.records WHERE topic = $1 ORDER BY "offset"',
    [topic],
  );
  return rows.map(({ value }) => value);
}

/** The real bus, with an obstacle before it. */
function obstructed(obstacle: (values: readonly string[]) => Promise<void> | void): Pick<EventBus, 'publish'> {
  return {
    async publish(topic, records) {
      await obstacle(records.map(({ value }) => value));
      await real.publish(topic, records);
    },
  };
}

/** How each publish ended so far. */
function outcomesOf(publisher: DurablePublisher, topic: string, values: readonly string[]): Map<string, string> {
  const outcomes = new Map<string, string>();
  for (const value of values)
    publisher.publish(topic, [record(value)]).then(
      () => outcomes.set(value, 'durable'),
      (error: unknown) => outcomes.set(value, error instanceof FleetgraphError ? error.code : String(error)),
    );
  return outcomes;
}

test('property: whatever fails in between, all becomes durable, once each and in the order of each topic', async () => {
  const turn = fc.record({ topic: fc.constantFrom('a', 'b'), pause: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(turn, { minLength: 1, maxLength: 30 }),
      fc.array(fc.boolean(), { maxLength: 3 }),
      async (turns, failures) => {
        const left = [...failures];
        const named = { a: await newTopic(), b: await newTopic() };
        const bus = obstructed(() => {
          if (left.shift() === true) throw new Error('away');
        });
        const publisher = createDurablePublisher({ bus, log: silentLog, maxBatch: 4 });
        const publishing: Promise<void>[] = [];
        for (const [index, { topic, pause }] of turns.entries()) {
          publishing.push(publisher.publish(named[topic], [record(String(index))]));
          if (pause) await new Promise((resolve) => setImmediate(resolve));
        }
        await within(Promise.all(publishing), 10_000, 'the records');
        for (const topic of ['a', 'b'] as const)
          expect((await storedIn(named[topic])).map(Number)).toEqual(
            turns.flatMap((entry, index) => (entry.topic === topic ? [index] : [])),
          );
        await publisher.stop(0);
      },
    ),
    { numRuns: 25 },
  );
});

test('it is not ready while the bus takes nothing, and ready again after', async () => {
  const topic = await newTopic();
  let away = true;
  const bus = obstructed(() => {
    if (away) throw new Error('connection refused');
  });
  const publisher = createDurablePublisher({ bus, log: silentLog });
  publisher.ready();
  const publishing = publisher.publish(topic, [record('1')]);
  await eventually(() => expect(() => publisher.ready()).toThrow('connection refused'));
  away = false;
  await publishing;
  await eventually(() => publisher.ready());
  await publisher.stop(0);
});

test('so many records may wait; what comes beyond is refused at once, and the rest is kept', async () => {
  const topic = await newTopic();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const bus = obstructed(() => held);
  const publisher = createDurablePublisher({ bus, log: silentLog, maxWaiting: 3 });
  const outcomes = outcomesOf(publisher, topic, ['1', '2', '3', '4']);
  await eventually(() => expect([...outcomes]).toEqual([['4', 'UNAVAILABLE']]));
  release();
  await eventually(() => expect(outcomes.size).toBe(4));
  expect(await storedIn(topic)).toEqual(['1', '2', '3']);
  await publisher.stop(0);
});

test('so many bytes may wait: a few large messages fill it as well as many small ones', async () => {
  const topic = await newTopic();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const bus = obstructed(() => held);
  const publisher = createDurablePublisher({ bus, log: silentLog, maxWaitingBytes: 10_000 });
  const large = (name: string) => name.repeat(4_000);
  const outcomes = outcomesOf(publisher, topic, [large('1'), large('2'), large('3')]);
  await eventually(() => expect([...outcomes]).toEqual([[large('3'), 'UNAVAILABLE']]));
  // Those on their way to the bus are in memory, too.
  await new Promise((resolve) => setImmediate(resolve));
  await expect(publisher.publish(topic, [record(large('4'))])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  release();
  await eventually(() => expect(outcomes.size).toBe(3));
  await publisher.publish(topic, [record(large('5'))]);
  expect((await storedIn(topic)).map((value) => value[0])).toEqual(['1', '2', '5']);
  await publisher.stop(0);
});

test('a record that the bus can never store is refused alone, and does not stand in the way of the others', async () => {
  const topic = await newTopic();
  const bus = obstructed((values) => {
    if (values.includes('poison')) throw new FleetgraphError('BAD_USER_INPUT', 'a record can not be stored');
  });
  const publisher = createDurablePublisher({ bus, log: silentLog });
  const outcomes = outcomesOf(publisher, topic, ['1', 'poison', '2']);
  await eventually(() =>
    expect(Object.fromEntries(outcomes)).toEqual({ '1': 'durable', '2': 'durable', poison: 'BAD_USER_INPUT' }),
  );
  expect(await storedIn(topic)).toEqual(['1', '2']);
  await publisher.stop(0);
});

test('a stop waits for what is on its way', async () => {
  const topic = await newTopic();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const publisher = createDurablePublisher({ bus: obstructed(() => held), log: silentLog });
  const outcomes = outcomesOf(publisher, topic, ['1', '2']);
  const stopping = publisher.stop(20_000);
  release();
  await within(stopping, 5_000, 'the stop');
  expect([...outcomes.values()]).toEqual(['durable', 'durable']);
  await expect(publisher.publish(topic, [record('3')])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test.each<[string, () => Promise<void>]>([
  ['refuses', () => Promise.reject(new Error('away'))],
  ['never answers', () => new Promise<void>(() => undefined)],
])('a stop gives up what a bus that %s does not take, and says so', async (_what, answer) => {
  const topic = await newTopic();
  const bus = obstructed(answer);
  const publisher = createDurablePublisher({ bus, log: silentLog, maxBatch: 1 });
  const outcomes = outcomesOf(publisher, topic, ['1', '2']);
  await within(publisher.stop(50), 5_000, 'the stop');
  await eventually(() => expect([...outcomes.values()]).toEqual(['UNAVAILABLE', 'UNAVAILABLE']));
  expect(await storedIn(topic)).toEqual([]);
});
