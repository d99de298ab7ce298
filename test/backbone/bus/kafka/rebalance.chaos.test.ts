/** Rebalances at bad moments: while a handler is slow, and while partitions are added. */
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RecordBatch } from '../../../../backbone/bus/event-bus.js';
import { eventually } from '../../../world/eventually.js';
import { hasKafka } from '../../../world/kafka/kafka.js';
import { createGate, createRecorder, numbers, record, valuesByKey } from '../contract.js';
import { firstAppearances } from './chaos-world.js';
import { createKafkaBusWorld, type KafkaBusWorld } from './kafka-world.js';

describe.skipIf(!hasKafka())('a rebalance', () => {
  let world: KafkaBusWorld;
  beforeAll(async () => {
    world = await createKafkaBusWorld();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test('during a slow handler: what was lost is abandoned and never committed, what stayed is finished', async () => {
    const bus = await world.createBus();
    const [topic, group] = [`topic.${randomUUID()}`, `group-${randomUUID()}`];
    await bus.ensureTopics([{ name: topic, partitions: 2, retentionMs: 3_600_000 }]);
    await bus.publish(
      topic,
      numbers(10).flatMap((value) => [record('a', value, 0), record('b', value, 1)]),
    );
    const gate = createGate();
    const held: RecordBatch[] = [];
    const slow = await bus.subscribe({ group, topics: [topic], maxBatchSize: 4 }, async (batch) => {
      held.push(batch);
      await gate.opened;
    });
    await eventually(() => expect(held).toHaveLength(2));
    const heir = createRecorder();
    const other = await (await world.createBus()).subscribe({ group, topics: [topic], maxBatchSize: 4 }, heir.handle);
    // One of the two partitions moves, from its first record on: nothing of it was committed.
    await eventually(() => expect(heir.records).toHaveLength(10));
    const [moved] = new Set(heir.records.map(({ partition }) => partition));
    expect(firstAppearances(heir.values())).toEqual(numbers(10));
    expect(held.find(({ partition }) => partition === moved)?.signal.aborted).toBe(true);
    expect(held.find(({ partition }) => partition !== moved)?.signal.aborted).toBe(false);
    await eventually(async () => expect((await bus.lag(group)).get(topic)).toBe(10));
    // The handler of the lost partition comes back late: the offset of its new owner stays.
    gate.open();
    await eventually(async () => expect((await bus.lag(group)).get(topic)).toBe(0));
    expect(held.filter(({ partition }) => partition === moved)).toHaveLength(1);
    expect(
      held.filter(({ partition }) => partition !== moved).flatMap(({ records }) => records.map(({ value }) => value)),
    ).toEqual(numbers(10));
    await Promise.all([slow.stop(), other.stop()]);
  });

  test('when partitions are added: their records are consumed, from the first on', async () => {
    const bus = await world.createBus({ metadataMaxAgeMs: 1_000 });
    const [topic, group] = [`topic.${randomUUID()}`, `group-${randomUUID()}`];
    await bus.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
    const recorder = createRecorder();
    const subscription = await bus.subscribe({ group, topics: [topic] }, recorder.handle);
    await bus.publish(topic, [record('a', '0', 0)]);
    await eventually(() => expect(recorder.values()).toEqual(['0']));
    const admin = new Kafka({ brokers: [...world.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createPartitions({ topicPartitions: [{ topic: world.prefix + topic, count: 3 }] });
    await admin.disconnect();
    const later = await world.createBus();
    await later.publish(topic, [record('b', '1', 1), record('c', '2', 2)]);
    await eventually(() => expect(new Set(recorder.values())).toEqual(new Set(['0', '1', '2'])));
    expect(valuesByKey(recorder.records).get('a')).toEqual(['0']);
    await subscription.stop();
  });
});
