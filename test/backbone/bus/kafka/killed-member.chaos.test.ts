/** A consumer group of processes, one of which is killed in the middle of its batches, under load. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startScript, type Child } from '../../../world/child-process.js';
import { createDatabase, type TestDatabase } from '../../../world/database.js';
import { eventually } from '../../../world/eventually.js';
import { hasKafka } from '../../../world/kafka/kafka.js';
import { numbers } from '../contract.js';
import { firstAppearances, publishNumbers } from './chaos-world.js';
import { createKafkaBusWorld, type KafkaBusWorld } from './kafka-world.js';

describe.skipIf(!hasKafka())('a member of a group that is killed', () => {
  let world: KafkaBusWorld;
  let database: TestDatabase;
  const children: Child[] = [];
  beforeAll(async () => {
    database = await createDatabase();
    await database.pool.query(
      'CREATE TABLE seen (n serial, member text, partition int, "offset" bigint, key text, value text)',
    );
    world = await createKafkaBusWorld();
  });
  afterAll(async () => {
    await Promise.all(children.map((child) => child.kill()));
    await world[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  test('costs no record: the others take over what it had not committed, in order for each key', async () => {
    const bus = await world.createBus();
    const [topic, group] = [`topic.${randomUUID()}`, `group-${randomUUID()}`];
    await bus.ensureTopics([{ name: topic, partitions: 4, retentionMs: 3_600_000 }]);
    const keys = Array.from({ length: 12 }, (_unused, index) => `device-${index}`);
    const join = async (member: string): Promise<Child> => {
      const child = await startScript(new URL('./group-process.ts', import.meta.url), [
        ...[world.brokers.join(','), world.prefix, database.url, group, topic, member, '1'],
      ]);
      children.push(child);
      return child;
    };
    const seenBy = async (member: string): Promise<number> => {
      const { rows } = await database.pool.query<{ n: number }>(
        'SELECT count(DISTINCT partition)::int AS n FROM (SELECT * FROM seen WHERE member = $1 ORDER BY n DESC LIMIT 50) s',
        [member],
      );
      return rows[0]?.n ?? 0;
    };
    const doomed = await join('doomed');
    await join('heir');
    const load = publishNumbers(bus, topic, keys);
    // Each has its two partitions.
    for (const member of ['doomed', 'heir']) await eventually(async () => expect(await seenBy(member)).toBe(2));
    await doomed.kill();
    const before = load.acknowledged();
    await eventually(async () => expect(await seenBy('heir')).toBe(4), 30_000);
    expect(load.acknowledged()).toBeGreaterThan(before);
    const count = await load.stop();
    await eventually(async () => expect((await bus.lag(group)).get(topic)).toBe(0), 30_000);
    for (const key of keys) {
      const { rows } = await database.pool.query<{ value: string }>(
        'SELECT value FROM seen WHERE key = $1 ORDER BY n',
        [key],
      );
      expect(firstAppearances(rows.map(({ value }) => value))).toEqual(numbers(count));
    }
  });
});
