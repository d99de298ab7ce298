import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../../world/eventually.js';
import { hasKafka } from '../../../world/kafka/kafka.js';
import { record } from '../contract.js';
import { createKafkaBusWorld, type KafkaBusWorld } from './kafka-world.js';

describe.skipIf(!hasKafka())('a tail of a topic to which partitions are added', () => {
  let world: KafkaBusWorld;
  beforeAll(async () => {
    world = await createKafkaBusWorld();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test('gives their records from the first on, and those of the others once', async () => {
    const bus = await world.createBus({ metadataMaxAgeMs: 1_000 });
    const topic = `topic.${randomUUID()}`;
    await bus.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
    const tailed: string[] = [];
    const tail = await bus.tail([topic], (records) => void tailed.push(...records.map(({ value }) => value)));
    await bus.publish(topic, [record('k', 'before', 0)]);
    const admin = new Kafka({ brokers: [...world.brokers], logLevel: logLevel.NOTHING }).admin();
    try {
      await admin.connect();
      await admin.createPartitions({ topicPartitions: [{ topic: world.prefix + topic, count: 3 }] });
    } finally {
      await admin.disconnect();
    }
    // A publisher counts the partitions once: one that opens later knows the new ones.
    const later = await world.createBus();
    await later.publish(topic, [record('k', 'p0', 0), record('k', 'p1', 1), record('k', 'p2', 2)]);
    await eventually(() => expect([...tailed].sort()).toEqual(['before', 'p0', 'p1', 'p2']));
    await tail.stop();
  });
});
