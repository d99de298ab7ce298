/** The broker dies under load and comes back: what was acknowledged is there, in order, for groups and for tails. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../../world/eventually.js';
import { hasOwnKafka, startKafka, type KafkaBroker } from '../../../world/kafka/kafka.js';
import { createRecorder, numbers, record, valuesByKey } from '../contract.js';
import { firstAppearances, publishNumbers } from './chaos-world.js';
import { createKafkaBusWorld, type KafkaBusWorld } from './kafka-world.js';

describe.skipIf(!hasOwnKafka())('a broker that is killed and comes back', () => {
  let broker: KafkaBroker;
  let world: KafkaBusWorld;
  beforeAll(async () => {
    broker = await startKafka();
    await broker.ready();
    world = await createKafkaBusWorld([broker.address]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
  });

  test('has every record that was acknowledged; groups and tails go on where they were', async () => {
    const bus = await world.createBus();
    const [topic, group] = [`topic.${randomUUID()}`, `group-${randomUUID()}`];
    await bus.ensureTopics([{ name: topic, partitions: 3, retentionMs: 3_600_000 }]);
    const keys = ['a', 'b', 'c', 'd', 'e'];
    const [grouped, tailed] = [createRecorder(), createRecorder()];
    const subscription = await bus.subscribe({ group, topics: [topic] }, grouped.handle);
    const tail = await bus.tail([topic], (records) => void tailed.records.push(...records));
    const load = publishNumbers(bus, topic, keys);
    for (let round = 0; round < 2; round += 1) {
      const before = load.acknowledged();
      await eventually(() => expect(load.acknowledged()).toBeGreaterThan(before + 50));
      await eventually(() => expect(grouped.records.length).toBeGreaterThan(before * keys.length));
      await broker.kill();
      await eventually(() => expect(bus.ready()).rejects.toThrow('the bus is away'));
      await broker.restart();
      await eventually(() => bus.ready(), 30_000);
    }
    const resumed = load.acknowledged();
    await eventually(() => expect(load.acknowledged()).toBeGreaterThan(resumed + 20), 60_000);
    const count = await load.stop();
    for (const seen of [grouped, tailed])
      for (const key of keys)
        await eventually(
          () => expect(firstAppearances(valuesByKey(seen.records).get(key) ?? [])).toEqual(numbers(count)),
          60_000,
        );
    await eventually(async () => expect((await bus.lag(group)).get(topic)).toBe(0), 30_000);
    await subscription.ready();
    await tail.ready();
  }, 180_000);

  test('refuses what can not become durable while it is away, with a code that says to try again', async () => {
    const bus = await world.createBus({ publishDeadlineMs: 2_000 });
    const topic = `topic.${randomUUID()}`;
    await bus.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
    await bus.publish(topic, [record('k', '0')]);
    await broker.kill();
    await expect(bus.publish(topic, [record('k', '1')])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await broker.restart();
    await eventually(() => bus.publish(topic, [record('k', '1')]), 30_000);
    await bus.publish(topic, [record('k', '2')]);
    const recorder = createRecorder();
    const subscription = await bus.subscribe({ group: `group-${randomUUID()}`, topics: [topic] }, recorder.handle);
    await eventually(() => expect(firstAppearances(recorder.values())).toEqual(['0', '1', '2']));
    await subscription.stop();
  }, 120_000);
});
