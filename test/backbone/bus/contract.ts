/**
 * What every adapter of the EventBus promises. A test file calls `describeEventBusContract` with a world that opens any
 * number of bus instances on one backbone; what only one adapter promises is in that adapter's own tests.
 */
import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type {
  BusRecord,
  EventBus,
  OutgoingRecord,
  RecordBatch,
  Subscription,
} from '../../../backbone/bus/event-bus.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import { eventually, within } from '../../world/eventually.js';

/** A consumer in a process of its own, whose handler holds on to its first batch for ever. */
export interface ConsumerProcess {
  /** Resolves when it holds a batch. */
  readonly holdsBatch: Promise<void>;
  /** Ends it as `kill -9` does: nothing is handed over, nothing committed. */
  kill(): Promise<void>;
}

export interface BusWorld extends AsyncDisposable {
  /** Another instance on the same backbone, as another process would open it. */
  createBus(): Promise<EventBus>;
  startConsumerProcess(group: string, topic: string): Promise<ConsumerProcess>;
  /** Until the partitions of a member that was killed are consumed by another one, milliseconds. */
  readonly takeoverMs: number;
}

/** Takes note of what a handler is given. */
export interface Recorder {
  readonly records: BusRecord[];
  readonly batches: RecordBatch[];
  readonly handle: (batch: RecordBatch) => Promise<void>;
  values(): string[];
}

export function createRecorder(onBatch: (batch: RecordBatch) => void | Promise<void> = () => undefined): Recorder {
  const records: BusRecord[] = [];
  const batches: RecordBatch[] = [];
  return {
    records,
    batches,
    async handle(batch) {
      await onBatch(batch);
      batches.push(batch);
      records.push(...batch.records);
    },
    values: () => records.map(({ value }) => value),
  };
}

/** What a handler can be made to wait for. */
export function createGate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}

export function record(key: string, value: string, partition?: number): OutgoingRecord {
  return { key, value, headers: { ce_type: 'test' }, ...(partition === undefined ? {} : { partition }) };
}

/** `count` records of one key with the values 0, 1, 2 … */
export function sequence(key: string, count: number, from = 0): OutgoingRecord[] {
  return Array.from({ length: count }, (_, index) => record(key, String(from + index)));
}

/** Values of each key in the order in which they came. */
export function valuesByKey(records: readonly BusRecord[]): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const { key, value } of records) values.set(key, [...(values.get(key) ?? []), value]);
  return values;
}

export function numbers(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => String(from + index));
}

export function describeEventBusContract(name: string, makeWorld: () => Promise<BusWorld>): void {
  describe(`event bus on ${name}`, () => {
    let world: BusWorld;
    let bus: EventBus;
    beforeAll(async () => {
      world = await makeWorld();
      bus = await world.createBus();
    });
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
    });

    const makeTopic = async (partitions = 3): Promise<string> => {
      const topic = `topic.${randomUUID()}`;
      await bus.ensureTopics([{ name: topic, partitions, retentionMs: 3_600_000 }]);
      return topic;
    };
    const group = (): string => `group-${randomUUID()}`;

    describe('publishing', () => {
      test('has stored records when publish resolves: another instance reads them after the first is gone', async () => {
        const topic = await makeTopic();
        const publisher = await world.createBus();
        await publisher.publish(topic, [record('a', '1'), record('b', '2')]);
        await publisher.close();
        const recorder = createRecorder();
        const subscription = await bus.subscribe({ group: group(), topics: [topic] }, recorder.handle);
        await eventually(() => expect(recorder.values().sort()).toEqual(['1', '2']));
        await subscription.stop();
      });

      test('keeps the order of each key over calls that are not awaited, of several instances at once', async () => {
        const topic = await makeTopic(4);
        const publishers = [bus, await world.createBus(), await world.createBus()];
        const keys = publishers.map((_, publisher) => [0, 1, 2].map((key) => `p${publisher}-k${key}`));
        await Promise.all(
          publishers.flatMap((publisher, index) =>
            Array.from({ length: 100 }, (_, turn) =>
              publisher.publish(
                topic,
                (keys[index] ?? []).flatMap((key) => sequence(key, 3, turn * 3)),
              ),
            ),
          ),
        );
        const recorder = createRecorder();
        const subscription = await bus.subscribe(
          { group: group(), topics: [topic], maxBatchSize: 37 },
          recorder.handle,
        );
        await eventually(() => expect(recorder.records).toHaveLength(3 * 3 * 300));
        const byKey = valuesByKey(recorder.records);
        for (const key of keys.flat()) expect(byKey.get(key)).toEqual(numbers(300));
        await subscription.stop();
      });

      test('gives a key always the same partition, and several keys several', async () => {
        const topic = await makeTopic(4);
        const other = await world.createBus();
        const keys = Array.from({ length: 40 }, (_, index) => `device-${index}`);
        await bus.publish(
          topic,
          keys.map((key) => record(key, '1')),
        );
        await other.publish(
          topic,
          keys.map((key) => record(key, '2')),
        );
        const recorder = createRecorder();
        const subscription = await bus.subscribe({ group: group(), topics: [topic] }, recorder.handle);
        await eventually(() => expect(recorder.records).toHaveLength(80));
        for (const key of keys)
          expect(
            new Set(recorder.records.filter((found) => found.key === key).map(({ partition }) => partition)).size,
          ).toBe(1);
        expect(new Set(recorder.records.map(({ partition }) => partition)).size).toBe(4);
        await subscription.stop();
      });

      test('puts a record into the partition that it names, and refuses one that does not exist', async () => {
        const topic = await makeTopic(3);
        await bus.publish(topic, [record('k', 'a', 0), record('k', 'b', 1), record('k', 'c', 2)]);
        const recorder = createRecorder();
        const subscription = await bus.subscribe({ group: group(), topics: [topic] }, recorder.handle);
        await eventually(() => expect(recorder.records).toHaveLength(3));
        expect(recorder.records.map(({ partition, value }) => `${partition}${value}`).sort()).toEqual([
          '0a',
          '1b',
          '2c',
        ]);
        for (const partition of [-1, 3, 0.5])
          await expect(bus.publish(topic, [record('k', 'x', partition)])).rejects.toThrow(/no partition/);
        await subscription.stop();
      });

      test('gives back any key, value and headers as they were, and says when it stored them', async () => {
        const topic = await makeTopic();
        // Text as UTF-8 has it; U+0000 is not text to every backbone.
        const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => !value.includes('\0'));
        const given = fc.sample(
          fc.record({
            key: text,
            value: text,
            headers: fc.dictionary(fc.stringMatching(/^[a-z][a-z_-]{0,15}$/), text),
          }),
          { numRuns: 200, seed: 7 },
        );
        const before = Date.now();
        await bus.publish(topic, [
          ...given.map(({ headers, ...rest }) => ({ ...rest, headers: { ...headers } })),
          record('quote"\\\n', '{"a":"\\u0000","b":"💧\\ud83d"}'),
        ]);
        const recorder = createRecorder();
        const subscription = await bus.subscribe({ group: group(), topics: [topic] }, recorder.handle);
        await eventually(() => expect(recorder.records).toHaveLength(given.length + 1));
        const plain = (found: { key: string; value: string; headers: Readonly<Record<string, string>> }) =>
          JSON.stringify([found.key, found.value, Object.entries(found.headers).sort()]);
        expect(recorder.records.map(plain).sort()).toEqual(
          [...given, record('quote"\\\n', '{"a":"\\u0000","b":"💧\\ud83d"}')].map(plain).sort(),
        );
        for (const { timestampMs } of recorder.records) {
          expect(timestampMs).toBeGreaterThan(before - 5_000);
          expect(timestampMs).toBeLessThan(Date.now() + 5_000);
        }
        await subscription.stop();
      });

      test('carries records of a megabyte, and calls of more records than one flush holds', async () => {
        const topic = await makeTopic(2);
        const large = (fill: string): string => fill.repeat(2 ** 20 - 2_000);
        await bus.publish(topic, [record('k', large('a')), record('k', large('b')), record('k', large('c'))]);
        await bus.publish(topic, sequence('many', 10_000));
        const recorder = createRecorder();
        const subscription = await bus.subscribe({ group: group(), topics: [topic] }, recorder.handle);
        await eventually(() => expect(recorder.records).toHaveLength(10_003), 20_000);
        const byKey = valuesByKey(recorder.records);
        expect(byKey.get('k')?.map((value) => `${value.slice(0, 1)}${value.length}`)).toEqual([
          `a${2 ** 20 - 2_000}`,
          `b${2 ** 20 - 2_000}`,
          `c${2 ** 20 - 2_000}`,
        ]);
        expect(byKey.get('many')).toEqual(numbers(10_000));
        await subscription.stop();
      });

      test('refuses a topic that was never made, by name', async () => {
        await expect(bus.publish('no.such.topic', [record('k', '1')])).rejects.toThrow(/no\.such\.topic/);
        await expect(
          bus.subscribe({ group: group(), topics: ['no.such.topic'] }, async () => undefined),
        ).rejects.toThrow(/no\.such\.topic/);
        await expect(bus.tail(['no.such.topic'], () => undefined)).rejects.toThrow(/no\.such\.topic/);
      });

      test('keeps the partitions of a topic that is there, whoever else makes it', async () => {
        const topic = await makeTopic(2);
        const others = await Promise.all([world.createBus(), world.createBus(), world.createBus()]);
        await Promise.all(
          others.map((other, index) =>
            other.ensureTopics([{ name: topic, partitions: 5 + index, retentionMs: 1_000_000 }]),
          ),
        );
        const [other] = others;
        expect(await other.partitionsOf(topic)).toBe(2);
        await other.publish(
          topic,
          Array.from({ length: 30 }, (_, index) => record(`k${index}`, '1')),
        );
        const recorder = createRecorder();
        const subscription = await other.subscribe({ group: group(), topics: [topic] }, recorder.handle);
        await eventually(() => expect(recorder.records).toHaveLength(30));
        expect(new Set(recorder.records.map(({ partition }) => partition))).toEqual(new Set([0, 1]));
        await subscription.stop();
      });

      test('flushes on close what was given to it, and takes nothing after', async () => {
        const topic = await makeTopic();
        const closing = await world.createBus();
        const calls = Array.from({ length: 50 }, (_, index) => closing.publish(topic, sequence('k', 20, index * 20)));
        await closing.close();
        await Promise.all(calls);
        await expect(closing.publish(topic, [record('k', 'late')])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
        const recorder = createRecorder();
        const subscription = await bus.subscribe({ group: group(), topics: [topic] }, recorder.handle);
        await eventually(() => expect(recorder.values()).toEqual(numbers(1_000)));
        await subscription.stop();
      });
    });

    describe('consumer groups', () => {
      test('share the partitions among their members, and handle each record once when nothing fails', async () => {
        const topic = await makeTopic(4);
        const name = group();
        const recorders = [createRecorder(), createRecorder()];
        const subscriptions: Subscription[] = [];
        for (const recorder of recorders)
          subscriptions.push(
            await (await world.createBus()).subscribe({ group: name, topics: [topic] }, recorder.handle),
          );
        const keys = Array.from({ length: 20 }, (_, index) => `device-${index}`);
        const partitionsWith = ({ records }: Recorder, wanted: (value: string) => boolean): number =>
          new Set(records.filter(({ value }) => wanted(value)).map(({ partition }) => partition)).size;
        // Until both have their share.
        let round = 0;
        await eventually(async () => {
          const mark = `warm-up ${(round += 1)}`;
          await bus.publish(
            topic,
            keys.map((key) => record(key, mark)),
          );
          await eventually(async () => expect((await bus.lag(name)).get(topic)).toBe(0));
          for (const recorder of recorders) expect(partitionsWith(recorder, (value) => value === mark)).toBe(2);
        });
        for (let turn = 0; turn < 20; turn += 1)
          await bus.publish(
            topic,
            keys.flatMap((key) => sequence(key, 5, turn * 5)),
          );
        const all = () => recorders.flatMap(({ records }) => records).filter(({ value }) => !value.startsWith('warm'));
        await eventually(() => expect(all()).toHaveLength(2_000));
        for (const values of valuesByKey(all()).values()) expect(values).toEqual(numbers(100));
        for (const recorder of recorders)
          expect(partitionsWith(recorder, (value) => !value.startsWith('warm'))).toBe(2);
        await Promise.all(subscriptions.map((subscription) => subscription.stop()));
      });

      test('are told of new records within a moment, also of those that another instance publishes', async () => {
        const topic = await makeTopic(1);
        const recorder = createRecorder();
        const subscription = await bus.subscribe({ group: group(), topics: [topic] }, recorder.handle);
        const other = await world.createBus();
        await other.publish(topic, [record('k', 'warm-up')]);
        await eventually(() => expect(recorder.values()).toEqual(['warm-up']));
        await other.publish(topic, [record('k', 'now')]);
        await eventually(() => expect(recorder.values()).toContain('now'), 900);
        await subscription.stop();
      });

      test('are independent of each other', async () => {
        const topic = await makeTopic();
        const recorders = [createRecorder(), createRecorder()];
        const stuck = await bus.subscribe({ group: group(), topics: [topic] }, () =>
          Promise.reject(new Error('refused')),
        );
        const subscriptions = await Promise.all(
          recorders.map((recorder) => bus.subscribe({ group: group(), topics: [topic] }, recorder.handle)),
        );
        await bus.publish(topic, sequence('k', 50));
        for (const recorder of recorders) await eventually(() => expect(recorder.values()).toEqual(numbers(50)));
        await Promise.all([stuck, ...subscriptions].map((subscription) => subscription.stop()));
      });

      test('begin with the oldest record, or with the next if they ask for it', async () => {
        const topic = await makeTopic(1);
        await bus.publish(topic, sequence('k', 3));
        const [earliest, latest] = [createRecorder(), createRecorder()];
        const subscriptions = [
          await bus.subscribe({ group: group(), topics: [topic] }, earliest.handle),
          await bus.subscribe({ group: group(), topics: [topic], from: 'latest' }, latest.handle),
        ];
        await bus.publish(topic, sequence('k', 2, 3));
        await eventually(() => expect(earliest.values()).toEqual(numbers(5)));
        await eventually(() => expect(latest.values()).toEqual(['3', '4']));
        await Promise.all(subscriptions.map((subscription) => subscription.stop()));
      });

      test('go on where they were, whatever a later member asks for', async () => {
        const topic = await makeTopic(1);
        const name = group();
        const first = createRecorder();
        const subscription = await bus.subscribe({ group: name, topics: [topic] }, first.handle);
        await bus.publish(topic, sequence('k', 3));
        await eventually(() => expect(first.values()).toEqual(numbers(3)));
        await subscription.stop();
        await bus.publish(topic, sequence('k', 3, 3));
        const second = createRecorder();
        const later = await bus.subscribe({ group: name, topics: [topic], from: 'latest' }, second.handle);
        await eventually(() => expect(second.values()).toEqual(numbers(3, 3)));
        await later.stop();
      });

      test('consume several topics, and say for each how far behind they are', async () => {
        const [one, two] = [await makeTopic(2), await makeTopic(3)];
        const name = group();
        const gate = createGate();
        await bus.publish(one, sequence('k', 7));
        const recorder = createRecorder(() => gate.opened);
        const subscription = await bus.subscribe({ group: name, topics: [one, two] }, recorder.handle);
        await bus.publish(two, [...sequence('a', 3), ...sequence('b', 2)]);
        await eventually(async () =>
          expect([...(await bus.lag(name))].sort()).toEqual([[one, 7] as const, [two, 5] as const].sort()),
        );
        gate.open();
        await eventually(async () => expect(Math.max(...(await bus.lag(name)).values())).toBe(0));
        expect(recorder.records).toHaveLength(12);
        await subscription.stop();
      });

      test('are given a rejected batch again, and nothing behind it before', async () => {
        const topic = await makeTopic(1);
        const attempts: string[][] = [];
        const accepted: string[] = [];
        const subscription = await bus.subscribe(
          { group: group(), topics: [topic], maxBatchSize: 2 },
          async (batch) => {
            const values = batch.records.map(({ value }) => value);
            attempts.push(values);
            if (values.includes('2') && attempts.filter((former) => former.includes('2')).length < 3)
              throw new Error('not yet');
            accepted.push(...values);
          },
        );
        await bus.publish(topic, sequence('k', 8));
        await eventually(() => expect(accepted).toEqual(numbers(8)));
        const first = attempts.findIndex((values) => values.includes('2'));
        expect(attempts[first + 1]).toEqual(attempts[first]);
        expect(attempts[first + 2]).toEqual(attempts[first]);
        await subscription.stop();
      });

      test('go on with the other partitions while one refuses its batch', async () => {
        const topic = await makeTopic(2);
        const recorder = createRecorder((batch) => {
          if (batch.partition === 0) throw new Error('partition 0 refuses');
        });
        const subscription = await bus.subscribe({ group: group(), topics: [topic] }, recorder.handle);
        await bus.publish(topic, [record('a', 'stuck', 0), record('b', 'free', 1)]);
        await eventually(() => expect(recorder.values()).toEqual(['free']));
        await bus.publish(topic, [record('b', 'free too', 1)]);
        await eventually(() => expect(recorder.values()).toEqual(['free', 'free too']));
        await subscription.stop();
      });

      test('commit only what the handler has resolved', async () => {
        const topic = await makeTopic(1);
        const name = group();
        const gate = createGate();
        let entered = false;
        const subscription = await bus.subscribe({ group: name, topics: [topic] }, async () => {
          entered = true;
          await gate.opened;
        });
        await bus.publish(topic, sequence('k', 3));
        await eventually(() => expect(entered).toBe(true));
        expect((await bus.lag(name)).get(topic)).toBe(3);
        gate.open();
        await eventually(async () => expect((await bus.lag(name)).get(topic)).toBe(0));
        await subscription.stop();
      });

      test('handle one batch of a partition at a time, never larger than asked for, and wait for a slow handler', async () => {
        const topic = await makeTopic(2);
        const running = new Map<number, number>();
        let most = 0;
        const recorder = createRecorder(async ({ partition, records }) => {
          running.set(partition, (running.get(partition) ?? 0) + 1);
          most = Math.max(most, running.get(partition) ?? 0, records.length > 10 ? Number.POSITIVE_INFINITY : 0);
          await pause(2);
          running.set(partition, (running.get(partition) ?? 0) - 1);
        });
        await bus.publish(topic, [
          ...numbers(150).map((value) => record('a', value, 0)),
          ...numbers(150).map((value) => record('b', value, 1)),
        ]);
        const subscription = await bus.subscribe(
          { group: group(), topics: [topic], maxBatchSize: 10 },
          recorder.handle,
        );
        await eventually(() => expect(recorder.records).toHaveLength(300));
        expect(most).toBe(1);
        const byKey = valuesByKey(recorder.records);
        expect(byKey.get('a')).toEqual(numbers(150));
        expect(byKey.get('b')).toEqual(numbers(150));
        await subscription.stop();
      });

      test('finish and commit a running batch when they are stopped, so that it is not given again', async () => {
        const topic = await makeTopic(1);
        const name = group();
        const gate = createGate();
        let entered = false;
        const first = createRecorder(async () => {
          entered = true;
          await gate.opened;
        });
        const subscription = await bus.subscribe({ group: name, topics: [topic], maxBatchSize: 2 }, first.handle);
        await bus.publish(topic, sequence('k', 5));
        await eventually(() => expect(entered).toBe(true));
        const stopping = subscription.stop();
        gate.open();
        await within(stopping, 5_000, 'stopping');
        const taken = first.records.length;
        expect(taken).toBeGreaterThan(0);
        expect(taken).toBeLessThanOrEqual(2);
        const second = createRecorder();
        const later = await (await world.createBus()).subscribe({ group: name, topics: [topic] }, second.handle);
        await eventually(() => expect([...first.values(), ...second.values()]).toEqual(numbers(5)));
        await later.stop();
        expect(first.records).toHaveLength(taken);
      });

      test('hand over at once when a member stops', async () => {
        const topic = await makeTopic(2);
        const name = group();
        const [first, second] = [createRecorder(), createRecorder()];
        const leaving = await (await world.createBus()).subscribe({ group: name, topics: [topic] }, first.handle);
        const staying = await bus.subscribe({ group: name, topics: [topic] }, second.handle);
        await bus.publish(topic, [record('a', '1', 0), record('b', '1', 1)]);
        await eventually(() => expect([...first.values(), ...second.values()]).toHaveLength(2));
        await leaving.stop();
        const stoppedAt = Date.now();
        await bus.publish(topic, [record('a', '2', 0), record('b', '2', 1)]);
        await eventually(() => expect(second.values().filter((value) => value === '2')).toHaveLength(2));
        expect(Date.now() - stoppedAt).toBeLessThan(world.takeoverMs / 2);
        await staying.stop();
      });

      test('take over the partitions of a member that was killed in the middle of a batch, with that batch', async () => {
        const topic = await makeTopic(2);
        const name = group();
        const victim = await world.startConsumerProcess(name, topic);
        await bus.publish(topic, [
          ...numbers(20).map((value) => record('a', value, 0)),
          ...numbers(20).map((value) => record('b', value, 1)),
        ]);
        await within(victim.holdsBatch, 20_000, 'the batch of the process');
        await victim.kill();
        const recorder = createRecorder();
        const subscription = await bus.subscribe({ group: name, topics: [topic] }, recorder.handle);
        await eventually(() => expect(recorder.records.length).toBeGreaterThanOrEqual(40), world.takeoverMs + 10_000);
        const byKey = valuesByKey(recorder.records);
        expect(byKey.get('a')).toEqual(numbers(20));
        expect(byKey.get('b')).toEqual(numbers(20));
        await subscription.stop();
      });

      test('share anew when a third member comes, and lose and overtake nothing while they do', async () => {
        const topic = await makeTopic(6);
        const name = group();
        const recorders = [createRecorder(), createRecorder(), createRecorder()];
        const keys = Array.from({ length: 30 }, (_, index) => `device-${index}`);
        const subscriptions: Subscription[] = [];
        let sent = 0;
        let publishing = true;
        const publisher = (async () => {
          for (; publishing; sent += 1) {
            await bus.publish(
              topic,
              keys.map((key) => record(key, String(sent))),
            );
            await pause(2);
          }
        })();
        for (const recorder of recorders) {
          subscriptions.push(
            await (await world.createBus()).subscribe({ group: name, topics: [topic] }, recorder.handle),
          );
          await eventually(() => expect(recorder.records.length).toBeGreaterThan(0));
        }
        // Who has been given what lately: two partitions each.
        await eventually(() => {
          for (const { batches } of recorders)
            expect(new Set(batches.slice(-20).map(({ partition }) => partition)).size).toBe(2);
        }, 20_000);
        publishing = false;
        await publisher;
        await eventually(async () => expect((await bus.lag(name)).get(topic)).toBe(0));
        const seen = recorders.map(({ records }) => valuesByKey(records));
        for (const key of keys) {
          const values = seen.flatMap((byKey) => byKey.get(key) ?? []).map(Number);
          expect(new Set(values)).toEqual(new Set(Array.from({ length: sent }, (_, index) => index)));
          for (const byKey of seen) {
            const own = (byKey.get(key) ?? []).map(Number);
            expect(own).toEqual([...own].sort((a, b) => a - b));
          }
        }
        await Promise.all(subscriptions.map((subscription) => subscription.stop()));
      });
    });

    describe('tail', () => {
      test('gives everything after the call and nothing before, to each caller, in order for each key', async () => {
        const topic = await makeTopic(3);
        const other = await world.createBus();
        const keys = ['a', 'b', 'c', 'd'];
        await bus.publish(
          topic,
          keys.map((key) => record(key, 'before')),
        );
        const seen: BusRecord[][] = [[], []];
        const tails = await Promise.all(
          [bus, other].map((instance, index) =>
            instance.tail([topic], (records) => void seen[index]?.push(...records)),
          ),
        );
        for (let turn = 0; turn < 20; turn += 1)
          await (turn % 2 === 0 ? bus : other).publish(
            topic,
            keys.flatMap((key) => sequence(key, 5, turn * 5)),
          );
        for (const records of seen) {
          await eventually(() => expect(records).toHaveLength(400));
          for (const key of keys) expect(valuesByKey(records).get(key)).toEqual(numbers(100));
        }
        await Promise.all(tails.map((tail) => tail.stop()));
        await bus.publish(topic, [record('a', 'after')]);
        const late = await bus.tail([topic], () => undefined);
        await late.stop();
        expect(seen.flat().some(({ value }) => value === 'after')).toBe(false);
      });

      test('waits for a slow handler without delaying anybody else', async () => {
        const topic = await makeTopic(1);
        const gate = createGate();
        const slowSaw: string[] = [];
        let calls = 0;
        const slow = await bus.tail([topic], async (records) => {
          calls += 1;
          await gate.opened;
          slowSaw.push(...records.map(({ value }) => value));
        });
        const fastSaw: string[] = [];
        const fast = await bus.tail([topic], (records) => void fastSaw.push(...records.map(({ value }) => value)));
        for (let turn = 0; turn < 10; turn += 1) await bus.publish(topic, sequence('k', 300, turn * 300));
        await eventually(() => expect(fastSaw).toEqual(numbers(3_000)));
        expect(calls).toBe(1);
        gate.open();
        await eventually(() => expect(slowSaw).toEqual(numbers(3_000)));
        await Promise.all([slow.stop(), fast.stop()]);
      });

      test('gives the same records again when the handler rejects', async () => {
        const topic = await makeTopic(1);
        const seen: string[] = [];
        let failures = 2;
        const tail = await bus.tail([topic], async (records) => {
          if (failures-- > 0) throw new Error('not yet');
          seen.push(...records.map(({ value }) => value));
        });
        await bus.publish(topic, sequence('k', 5));
        await eventually(() => expect(seen).toEqual(numbers(5)));
        await tail.stop();
      });
    });

    test('stops its subscriptions when it is closed, and takes no new ones', async () => {
      const topic = await makeTopic(1);
      const name = group();
      const closing = await world.createBus();
      const [subscribed, tailed] = [createRecorder(), [] as string[]];
      await closing.subscribe({ group: name, topics: [topic] }, subscribed.handle);
      await closing.tail([topic], (records) => void tailed.push(...records.map(({ value }) => value)));
      await bus.publish(topic, [record('k', '1')]);
      await eventually(() => expect([subscribed.values(), tailed]).toEqual([['1'], ['1']]));
      await Promise.all([closing.close(), closing.close()]);
      const heir = createRecorder();
      const subscription = await bus.subscribe({ group: name, topics: [topic] }, heir.handle);
      await bus.publish(topic, [record('k', '2')]);
      await eventually(() => expect(heir.values()).toEqual(['2']));
      expect(subscribed.values()).toEqual(['1']);
      expect(tailed).toEqual(['1']);
      await expect(closing.subscribe({ group: name, topics: [topic] }, async () => undefined)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
      });
      await subscription.stop();
    });

    test('says that it is ready', async () => {
      await expect(bus.ready()).resolves.toBeUndefined();
      const topic = await makeTopic(1);
      const subscription = await bus.subscribe({ group: group(), topics: [topic] }, async () => undefined);
      await expect(subscription.ready()).resolves.toBeUndefined();
      await subscription.stop();
    });
  });
}
