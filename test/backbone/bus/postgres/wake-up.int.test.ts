import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { appendRecords } from '../../../../backbone/bus/postgres/log-appending.js';
import { statementsOn } from '../../../../backbone/bus/postgres/statement.js';
import { eventually } from '../../../world/eventually.js';
import { createRecorder, record } from '../contract.js';
import { createPostgresBusWorld, type PostgresBusWorld } from './postgres-world.js';

/** So long that what arrives was not found by polling. */
const noPolling = { pollMs: 120_000, fallbackPollMs: 120_000 };

describe('wake-ups of the bus on PostgreSQL', () => {
  let world: PostgresBusWorld;
  beforeAll(async () => {
    world = await createPostgresBusWorld();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  const listeners = async (): Promise<number[]> => {
    const { rows } = await world.database.pool.query(
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'fleetgraph-bus-listen' AND datname = current_database() AND query LIKE 'LISTEN%'`,
    );
    return (rows as { pid: number }[]).map(({ pid }) => pid);
  };

  test('readers are woken by publishers of other processes, also after their connection was lost', async () => {
    const publisher = await world.createBus();
    const reader = await world.createBus(noPolling);
    await eventually(async () => expect(await listeners()).toHaveLength(2));
    const topic = `topic.${randomUUID()}`;
    await publisher.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
    const recorder = createRecorder();
    const tailed: string[] = [];
    await reader.subscribe({ group: randomUUID(), topics: [topic] }, recorder.handle);
    await reader.tail([topic], (records) => void tailed.push(...records.map(({ value }) => value)));
    await publisher.publish(topic, [record('k', '1')]);
    await eventually(() => expect([recorder.values(), tailed]).toEqual([['1'], ['1']]), 5_000);

    const before = await listeners();
    await world.database.pool.query('SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [before]);
    // Announced while nobody may be listening: found when they listen again.
    await publisher.publish(topic, [record('k', '2')]);
    await eventually(
      () =>
        expect([recorder.values(), tailed]).toEqual([
          ['1', '2'],
          ['1', '2'],
        ]),
      5_000,
    );
    await eventually(async () => {
      const now = await listeners();
      expect(now).toHaveLength(2);
      for (const pid of now) expect(before).not.toContain(pid);
    });
    await publisher.publish(topic, [record('k', '3')]);
    await eventually(() => expect([recorder.values().at(-1), tailed.at(-1)]).toEqual(['3', '3']), 5_000);
    await reader.close();
    await publisher.close();
  });

  test('readers find by polling what nobody announced', async () => {
    const reader = await world.createBus({ pollMs: 50, fallbackPollMs: 50 });
    const topic = `topic.${randomUUID()}`;
    await reader.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
    const recorder = createRecorder();
    const tailed: string[] = [];
    await reader.subscribe({ group: randomUUID(), topics: [topic] }, recorder.handle);
    await reader.tail([topic], (records) => void tailed.push(...records.map(({ value }) => value)));
    await appendRecords(statementsOn(world.database.pool), [
      { topic, partition: 0, key: 'k', value: 'quiet', headers: {} },
    ]);
    await eventually(() => expect([recorder.values(), tailed]).toEqual([['quiet'], ['quiet']]));
    await reader.close();
  });

  test('a burst of calls sends few notifications', async () => {
    const publisher = await world.createBus();
    const topic = `topic.${randomUUID()}`;
    await publisher.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
    const client = await world.database.pool.connect();
    let notifications = 0;
    client.on('notification', () => (notifications += 1));
    await client.query('LISTEN fleetgraph_bus');
    const startedAt = performance.now();
    for (let turn = 0; turn < 300; turn += 1) await publisher.publish(topic, [record('k', String(turn))]);
    const elapsedMs = performance.now() - startedAt;
    await publisher.close();
    await client.query('UNLISTEN *');
    client.release(true);
    expect(notifications).toBeGreaterThan(0);
    expect(notifications).toBeLessThanOrEqual(elapsedMs / 10 + 2);
  });
});
