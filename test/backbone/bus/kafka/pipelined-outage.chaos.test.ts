/**
 * The broker is killed under load, twice, by kill -9. What counts: every record whose publish resolved is consumed and
 * seen by a tail, and those of a key are first seen in the order in which they were published, though calls are not
 * awaited one by one. Repetitions are allowed.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventBus } from '../../../../backbone/bus/event-bus.js';
import { pause } from '../../../../platform/lifecycle/wait.js';
import { eventually } from '../../../world/eventually.js';
import { hasOwnKafka, startKafka, type KafkaBroker } from '../../../world/kafka/kafka.js';
import { record } from '../contract.js';
import { createKafkaBusWorld, type KafkaBusWorld } from './kafka-world.js';

const topic = 'chaos';
const group = 'consumers';
const kills = 2;

describe.skipIf(!hasOwnKafka())('a broker of its own', () => {
  let broker: KafkaBroker | undefined;
  let world: KafkaBusWorld | undefined;
  beforeAll(async () => {
    broker = await startKafka();
    await broker.ready();
    world = await createKafkaBusWorld([broker.address]);
  });
  afterAll(async () => {
    await world?.[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
  });

  /** Publishes 0, 1, 2 … of one key, three calls at a time without awaiting each; repeats, in order, what was rejected. */
  const publishKey = async (bus: EventBus, key: string, signal: AbortSignal) => {
    let published = 0;
    let rejected = 0;
    while (!signal.aborted) {
      const calls = await Promise.allSettled(
        [0, 1, 2].map((ahead) => bus.publish(topic, [record(key, String(published + ahead))])),
      );
      const failed = calls.findIndex(({ status }) => status === 'rejected');
      if (failed === -1) published += calls.length;
      else {
        // Nothing behind a rejected call may have been stored in front of it, so its successors are repeated too.
        published += failed;
        rejected += 1;
        await pause(20);
      }
    }
    return { published, rejected };
  };

  test('loses nothing that was acknowledged, and keeps the order of each key, while it is killed and restarted', async () => {
    if (broker === undefined || world === undefined) throw new Error('There is no broker.');
    const on = world;
    const open = (settings = {}): Promise<EventBus> => on.createBus(settings);
    // Given up early, so that the outages reach the publishers.
    const producers = [await open({ publishDeadlineMs: 2_000 }), await open({ publishDeadlineMs: 2_000 })] as const;
    const consumers = [await open(), await open()] as const;
    await producers[0].ensureTopics([{ name: topic, partitions: 4, retentionMs: 3_600_000 }]);
    const seen = new Map<string, Set<number>>();
    const outOfOrder: string[] = [];
    let consumed = 0;
    for (const consumer of consumers)
      await consumer.subscribe({ group, topics: [topic], maxBatchSize: 50 }, async ({ records, signal }) => {
        await pause(2, signal);
        for (const { key, value } of records) {
          const own = seen.get(key) ?? new Set<number>();
          seen.set(key, own);
          if (!own.has(Number(value)) && Number(value) !== own.size)
            outOfOrder.push(`${key}: ${value} after ${own.size}`);
          own.add(Number(value));
          consumed += 1;
        }
      });
    const tailed = new Set<string>();
    await consumers[0].tail([topic], (records) => {
      for (const { key, value } of records) tailed.add(`${key} ${value}`);
    });

    const stop = new AbortController();
    const keys = Array.from({ length: 8 }, (_, index) => `device-${index}`);
    const publishing = Promise.all(
      keys.map((key, index) => publishKey(producers[index % 2 === 0 ? 0 : 1], key, stop.signal)),
    );
    const flows = async (): Promise<void> => {
      const before = consumed;
      await eventually(() => expect(consumed).toBeGreaterThan(before + 1_000), 40_000);
    };
    try {
      for (let outage = 0; outage < kills; outage += 1) {
        await flows();
        await broker.kill();
        await eventually(() => expect(producers[0].ready()).rejects.toThrow('the bus is away'));
        await broker.restart();
      }
      await flows();
    } finally {
      stop.abort();
    }
    const results = await publishing;

    await eventually(async () => expect((await producers[0].lag(group)).get(topic)).toBe(0), 40_000);
    expect(outOfOrder).toEqual([]);
    for (const [index, key] of keys.entries()) {
      const { published = 0 } = results[index] ?? {};
      expect(published).toBeGreaterThan(50);
      const acknowledged = Array.from({ length: published }, (_, number) => number);
      expect(acknowledged.filter((number) => !seen.get(key)?.has(number))).toEqual([]);
      await eventually(() => expect(acknowledged.filter((number) => !tailed.has(`${key} ${number}`))).toEqual([]));
    }
    // The outages were felt: otherwise this test would have shown nothing.
    expect(results.reduce((sum, { rejected }) => sum + rejected, 0)).toBeGreaterThanOrEqual(kills);
  }, 180_000);
});
