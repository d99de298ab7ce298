/** What a client that knows nothing of fleetgraph may have put into a topic: it must not stop the partition. */
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../../world/eventually.js';
import { hasKafka } from '../../../world/kafka/kafka.js';
import { createRecorder } from '../contract.js';
import { createKafkaBusWorld, type KafkaBusWorld } from './kafka-world.js';

describe.skipIf(!hasKafka())('records of other clients', () => {
  let world: KafkaBusWorld;
  beforeAll(async () => {
    world = await createKafkaBusWorld();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test('come with empty text for what they have not: a tombstone, no key, no headers', async () => {
    const bus = await world.createBus();
    const [topic, group] = [`topic.${randomUUID()}`, `group-${randomUUID()}`];
    await bus.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
    const kafka = new Kafka({ brokers: [...world.brokers], logLevel: logLevel.NOTHING });
    const producer = kafka.producer({ allowAutoTopicCreation: false });
    try {
      await producer.connect();
      await producer.send({
        topic: world.prefix + topic,
        messages: [{ value: null }, { value: 'plain' }, { key: 'k', value: 'own', headers: { ce_type: 'test' } }],
      });
    } finally {
      await producer.disconnect();
    }
    const recorder = createRecorder();
    const subscription = await bus.subscribe({ group, topics: [topic] }, recorder.handle);
    await eventually(() => expect(recorder.records).toHaveLength(3));
    await eventually(async () => expect((await bus.lag(group)).get(topic)).toBe(0));
    await subscription.stop();
    expect(recorder.records.map(({ key, value, headers }) => ({ key, value, headers }))).toEqual([
      { key: '', value: '', headers: {} },
      { key: '', value: 'plain', headers: {} },
      { key: 'k', value: 'own', headers: { ce_type: 'test' } },
    ]);
  });
});
