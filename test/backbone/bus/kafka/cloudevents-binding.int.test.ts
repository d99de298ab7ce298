/**
 * What lies in Kafka is a CloudEvent of the Kafka protocol binding, binary content mode, that any consumer can read:
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md, section 3.2.
 */
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel, type KafkaMessage } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode, encode, makeEvent } from '../../../../backbone/events/envelope.js';
import { eventually } from '../../../world/eventually.js';
import { hasKafka } from '../../../world/kafka/kafka.js';
import { createRecorder } from '../contract.js';
import { createKafkaBusWorld, type KafkaBusWorld } from './kafka-world.js';

describe.skipIf(!hasKafka())('a CloudEvent on Kafka', () => {
  let world: KafkaBusWorld;
  beforeAll(async () => {
    world = await createKafkaBusWorld();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const makeTopic = async (bus: Awaited<ReturnType<KafkaBusWorld['createBus']>>): Promise<string> => {
    const topic = `topic.${randomUUID()}`;
    await bus.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
    return topic;
  };
  const plainKafka = (): Kafka => new Kafka({ brokers: [...world.brokers], logLevel: logLevel.NOTHING });

  test.each(['none', 'gzip'] as const)(
    'has its attributes in headers with the prefix ce_, its data as the value, compressed with %s',
    async (compression) => {
      const bus = await world.createBus({}, { compression });
      const topic = await makeTopic(bus);
      const event = makeEvent({
        type: 'io.fleetgraph.device.registered.v1',
        source: '/fleetgraph/device',
        subject: 'boiler-1',
        tenant: 'acmé “&” 工厂',
        data: { deviceId: 'boiler-1', name: 'Kessel № 1', typeId: 'boiler', labels: {} },
      });
      await bus.publish(topic, [encode(event)]);
      const messages: KafkaMessage[] = [];
      const consumer = plainKafka().consumer({ groupId: `plain-${randomUUID()}` });
      await consumer.connect();
      await consumer.subscribe({ topics: [world.prefix + topic], fromBeginning: true });
      await consumer.run({ eachMessage: async ({ message }) => void messages.push(message) });
      const message = await eventually(() => {
        const [first] = messages;
        if (first === undefined) throw new Error('nothing came yet');
        return first;
      });
      await consumer.disconnect();
      const header = (name: string): string | undefined => message.headers?.[name]?.toString();
      expect({
        specversion: header('ce_specversion'),
        id: header('ce_id'),
        source: header('ce_source'),
        type: header('ce_type'),
        subject: header('ce_subject'),
        time: header('ce_time'),
      }).toEqual({
        specversion: '1.0',
        id: event.id,
        source: event.source,
        type: event.type,
        subject: event.subject,
        time: event.time,
      });
      // 3.2.1: datacontenttype is Kafka's content-type header, not a ce_ one.
      expect(header('content-type')).toMatch(/^application\/json/);
      expect(header('ce_datacontenttype')).toBeUndefined();
      // 3.2.2: the value is the data and nothing else.
      expect(JSON.parse(message.value?.toString() ?? '')).toEqual(event.data);
      expect(Object.keys(message.headers ?? {}).filter((name) => /^ce_.*[^a-z0-9]/.test(name.slice(3)))).toEqual([]);
    },
  );

  test('that another producer has written in binary mode is read as it is', async () => {
    const bus = await world.createBus();
    const topic = await makeTopic(bus);
    const own = makeEvent({
      type: 'io.fleetgraph.device.registered.v1',
      source: '/other',
      subject: 'boiler-2',
      tenant: 'acme',
      data: { deviceId: 'boiler-2', name: 'Boiler 2', typeId: 'boiler', labels: {} },
    });
    const { key, value, headers } = encode(own);
    const producer = plainKafka().producer();
    await producer.connect();
    // Kafka allows a header several times, and producers may send bytes.
    await producer.send({
      topic: world.prefix + topic,
      messages: [{ key, value, headers: { ...headers, ce_source: ['/first', Buffer.from(own.source)] } }],
    });
    await producer.disconnect();
    const recorder = createRecorder();
    const subscription = await bus.subscribe({ group: `group-${randomUUID()}`, topics: [topic] }, recorder.handle);
    await eventually(() => expect(recorder.records.map(decode)).toEqual([own]));
    await subscription.stop();
  });
});
