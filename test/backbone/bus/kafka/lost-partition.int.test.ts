/** A partition that goes to another member in the middle of a batch: who may commit it. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventBus, RecordBatch } from '../../../../backbone/bus/event-bus.js';
import { eventually } from '../../../world/eventually.js';
import { hasKafka } from '../../../world/kafka/kafka.js';
import { createGate, createRecorder, numbers, record } from '../contract.js';
import { createKafkaBusWorld, type KafkaBusWorld } from './kafka-world.js';

describe.skipIf(!hasKafka())('a group on Kafka', () => {
  let world: KafkaBusWorld;
  let bus: EventBus;
  beforeAll(async () => {
    world = await createKafkaBusWorld();
    bus = await world.createBus();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const makeTopic = async (partitions: number): Promise<string> => {
    const topic = `topic.${randomUUID()}`;
    await bus.ensureTopics([{ name: topic, partitions, retentionMs: 3_600_000 }]);
    return topic;
  };

  test('a member that joins while a handler runs gets that batch too; the slow handler commits nothing of it', async () => {
    const topic = await makeTopic(2);
    const group = `group-${randomUUID()}`;
    const [slow, quick] = [createGate(), createGate()];
    const inHand: RecordBatch[] = [];
    const [first, second] = [
      createRecorder(async (batch) => {
        inHand.push(batch);
        await slow.opened;
      }),
      createRecorder(() => quick.opened),
    ];
    await bus.publish(
      topic,
      [0, 1].flatMap((partition) => numbers(10).map((value) => record(`key-${partition}`, value, partition))),
    );
    const early = await bus.subscribe({ group, topics: [topic] }, first.handle);
    await eventually(() => expect(new Set(inHand.map(({ partition }) => partition)).size).toBe(2));
    const late = await (await world.createBus()).subscribe({ group, topics: [topic] }, second.handle);
    const lost = await eventually(() => {
      const found = inHand.find(({ signal }) => signal.aborted);
      if (found === undefined) throw new Error('no partition has gone yet');
      return found;
    });
    const kept = inHand.find(({ partition }) => partition !== lost.partition);
    expect(kept?.signal.aborted).toBe(false);

    slow.open();
    await eventually(() => expect(first.batches).toContain(lost));
    // What comes now is committed after the batch that was lost would have been: of that one nothing was.
    await bus.publish(
      topic,
      numbers(5, 10).map((value) => record('key', value, kept?.partition)),
    );
    await eventually(() =>
      expect(first.records.filter(({ partition }) => partition !== lost.partition)).toHaveLength(15),
    );
    await eventually(async () => expect((await bus.lag(group)).get(topic)).toBe(10));
    quick.open();
    await eventually(async () => expect((await bus.lag(group)).get(topic)).toBe(0));
    expect(second.records.map(({ partition, value }) => `${partition}/${value}`)).toEqual(
      numbers(10).map((value) => `${lost.partition}/${value}`),
    );
    expect(first.records.filter(({ partition }) => partition === kept?.partition).map(({ value }) => value)).toEqual(
      numbers(15),
    );
    await Promise.all([early.stop(), late.stop()]);
  });
});
