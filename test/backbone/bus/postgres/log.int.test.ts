import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventBus } from '../../../../backbone/bus/event-bus.js';
import { appendRecords } from '../../../../backbone/bus/postgres/log-appending.js';
import { statementsOn, type Answer, type Statements } from '../../../../backbone/bus/postgres/statement.js';
import { eventually, within } from '../../../world/eventually.js';
import { createGate, createRecorder, numbers, record, sequence } from '../contract.js';
import { createPostgresBusWorld, type PostgresBusWorld } from './postgres-world.js';

describe('log of the bus on PostgreSQL', () => {
  let world: PostgresBusWorld;
  let bus: EventBus;
  beforeAll(async () => {
    world = await createPostgresBusWorld();
    bus = await world.createBus();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  const makeTopic = async (partitions: number, retentionMs = 3_600_000): Promise<string> => {
    const topic = `topic.${randomUUID()}`;
    await bus.ensureTopics([{ name: topic, partitions, retentionMs }]);
    return topic;
  };
  const rows = async <Row>(text: string, values: unknown[]): Promise<Row[]> =>
    (await world.database.pool.query(text, values)).rows as Row[];

  test('gives offsets without gaps to producers that contend for the same partitions', async () => {
    const [one, two] = [await makeTopic(3), await makeTopic(2)];
    const producers = await Promise.all(Array.from({ length: 4 }, () => world.createBus()));
    const calls = producers.flatMap((producer, index) =>
      Array.from({ length: 60 }, async (_, turn) => {
        // Each names the partitions in another order: whoever locked in that order would wait in a circle.
        const partitions = (index + turn) % 2 === 0 ? [0, 1, 2] : [2, 1, 0];
        await producer.publish(
          one,
          partitions.map((partition) => record('k', `${index}`, partition)),
        );
        await producer.publish(
          two,
          partitions.slice(1).map((partition) => record('k', `${index}`, partition % 2)),
        );
      }),
    );
    await Promise.all(calls);
    for (const [topic, expected] of [
      [one, 4 * 60],
      [two, undefined],
    ] as const) {
      const found = await rows<{ count: bigint; least: bigint; most: bigint; next: bigint }>(
        `SELECT count(*) AS count, min(r."offset") AS least, max(r."offset") AS most, max(p.next_offset) AS next
         FROM bus.records r JOIN bus.partitions p USING (topic, partition) WHERE topic = $1 GROUP BY partition`,
        [topic],
      );
      for (const { count, least, most, next } of found) {
        expect(least).toBe(0n);
        expect(most).toBe(count - 1n);
        expect(next).toBe(count);
        if (expected !== undefined) expect(count).toBe(BigInt(expected));
      }
    }
  });

  test('lets no reader go past a producer that has its offsets but has not committed yet', async () => {
    const topic = await makeTopic(1);
    const recorder = createRecorder();
    const subscription = await bus.subscribe({ group: randomUUID(), topics: [topic] }, recorder.handle);
    const client = await world.database.pool.connect();
    const inTransaction: Statements = {
      async run<Row>({ text }: { text: string }, values: readonly unknown[]): Promise<Answer<Row>> {
        const { rows: found, rowCount } = await client.query(text, [...values]);
        return { rows: found as Row[], count: rowCount ?? 0 };
      },
    };
    await client.query('BEGIN');
    await appendRecords(inTransaction, [{ topic, partition: 0, key: 'k', value: 'slow', headers: {} }]);
    const fast = bus.publish(topic, [record('k', 'fast')]);
    await expect(within(fast, 300, 'the fast one')).rejects.toThrow('the fast one');
    expect(recorder.values()).toEqual([]);
    await client.query('COMMIT');
    client.release();
    await fast;
    await eventually(() => expect(recorder.values()).toEqual(['slow', 'fast']));
    await subscription.stop();
  });

  test('takes back the offsets of a producer that rolled back, so that no gap is left', async () => {
    const topic = await makeTopic(1);
    const client = await world.database.pool.connect();
    await client.query('BEGIN');
    await client.query('UPDATE bus.partitions SET next_offset = next_offset + 5 WHERE topic = $1', [topic]);
    const published = bus.publish(topic, sequence('k', 2));
    await client.query('ROLLBACK');
    client.release();
    await published;
    expect(await rows('SELECT "offset" FROM bus.records WHERE topic = $1 ORDER BY 1', [topic])).toEqual([
      { offset: 0n },
      { offset: 1n },
    ]);
  });

  test('refuses text that PostgreSQL can not store, and only the call that holds it', async () => {
    const topic = await makeTopic(1);
    const results = await Promise.allSettled([
      bus.publish(topic, [record('k', '1')]),
      bus.publish(topic, [record('k', 'a\0b')]),
      bus.publish(topic, [{ key: 'k', value: '2', headers: { bad: 'a\0b' } }]),
      bus.publish(topic, [record('k', '3')]),
    ]);
    expect(
      results.map((result) => (result.status === 'rejected' ? (result.reason as { code: string }).code : 'stored')),
    ).toEqual(['stored', 'BAD_USER_INPUT', 'BAD_USER_INPUT', 'stored']);
    const recorder = createRecorder();
    const subscription = await bus.subscribe({ group: randomUUID(), topics: [topic] }, recorder.handle);
    await eventually(() => expect(recorder.values()).toEqual(['1', '3']));
    await subscription.stop();
  });

  test('ends a batch at the limit of bytes, and gives a larger record alone', async () => {
    const topic = await makeTopic(1);
    const limited = await world.createBus({ maxBatchBytes: 1_000 });
    const recorder = createRecorder();
    await limited.publish(topic, [
      ...numbers(10).map((value) => record('k', value.repeat(400))),
      record('k', 'x'.repeat(5_000)),
      record('k', 'y'),
    ]);
    const subscription = await limited.subscribe({ group: randomUUID(), topics: [topic] }, recorder.handle);
    await eventually(() => expect(recorder.records).toHaveLength(12));
    for (const { records } of recorder.batches) {
      const [last, ...before] = records.map(({ value }) => value.length).reverse();
      expect(last).toBeGreaterThan(0);
      expect(before.reduce((sum, size) => sum + size, 0)).toBeLessThan(1_000);
    }
    expect(recorder.values().map((value) => value[0])).toEqual([...numbers(10), 'x', 'y']);
    await subscription.stop();
  });

  test('holds at most two batches of a partition however large the backlog is', async () => {
    const topic = await makeTopic(1);
    const gate = createGate();
    await bus.publish(topic, sequence('k', 5_000));
    const name = randomUUID();
    const reads: number[] = [];
    const pool = world.database.pool;
    const watched = Object.create(pool) as pg.Pool;
    Object.defineProperty(watched, 'query', {
      async value(statement: pg.QueryConfig) {
        const result = await pool.query(statement);
        if (statement.name === 'fleetgraph_bus_read') reads.push(result.rowCount ?? 0);
        return result;
      },
    });
    const counting = await world.createBus({ pool: watched });
    const recorder = createRecorder(() => gate.opened);
    const subscription = await counting.subscribe({ group: name, topics: [topic], maxBatchSize: 100 }, recorder.handle);
    await eventually(() => expect(reads.filter((count) => count > 0)).toEqual([100, 100]));
    // Announcements must not make it read on.
    await bus.publish(topic, sequence('k', 10, 5_000));
    await counting.publish(topic, sequence('k', 10, 5_010));
    expect(reads.filter((count) => count > 0)).toEqual([100, 100]);
    gate.open();
    await eventually(() => expect(recorder.values()).toEqual(numbers(5_020)));
    await subscription.stop();
  });

  describe('retention', () => {
    const age = async (topic: string, below: number): Promise<void> => {
      await world.database.pool.query(
        `UPDATE bus.records SET timestamp = now() - interval '2 hours' WHERE topic = $1 AND "offset" < $2`,
        [topic, below],
      );
    };
    const kept = async (topic: string): Promise<number[]> =>
      (await rows<{ offset: bigint }>('SELECT "offset" FROM bus.records WHERE topic = $1 ORDER BY 1', [topic])).map(
        (row) => Number(row.offset),
      );
    const low = async (topic: string): Promise<bigint | undefined> =>
      (await rows<{ low_offset: bigint }>('SELECT low_offset FROM bus.partitions WHERE topic = $1', [topic]))[0]
        ?.low_offset;

    test('deletes what is old and committed by every group, and nothing else', async () => {
      const topic = await makeTopic(1);
      await bus.publish(topic, sequence('k', 10));
      await age(topic, 8);
      const groups = [randomUUID(), randomUUID()];
      await world.database.pool.query(
        `INSERT INTO bus.leases (group_id, topic, partition, committed) VALUES ($1, $3, 0, 9), ($2, $3, 0, 4)`,
        [...groups, topic],
      );
      const keeper = await world.createBus({ retentionIntervalMs: 30 });
      await eventually(async () => expect(await kept(topic)).toEqual([4, 5, 6, 7, 8, 9]));
      expect(await low(topic)).toBe(4n);
      await world.database.pool.query('UPDATE bus.leases SET committed = 10 WHERE topic = $1', [topic]);
      await eventually(async () => expect(await kept(topic)).toEqual([8, 9]));
      expect(await low(topic)).toBe(8n);
      await keeper.close();
    });

    test('lets a group that is behind the oldest record go on there, and counts what it missed', async () => {
      const topic = await makeTopic(1);
      await bus.publish(topic, sequence('k', 6));
      await age(topic, 4);
      const keeper = await world.createBus({ retentionIntervalMs: 30 });
      await eventually(async () => expect(await kept(topic)).toEqual([4, 5]));
      await keeper.close();
      const name = randomUUID();
      // As after the restore of an older copy of the leases.
      await world.database.pool.query(
        'INSERT INTO bus.leases (group_id, topic, partition, committed) VALUES ($1, $2, 0, 1)',
        [name, topic],
      );
      expect((await bus.lag(name)).get(topic)).toBe(2);
      const metrics = new Registry();
      const behind = await world.createBus({ metrics });
      const recorder = createRecorder();
      await behind.subscribe({ group: name, topics: [topic] }, recorder.handle);
      await eventually(() => expect(recorder.values()).toEqual(['4', '5']));
      const skipped = await metrics.getSingleMetricAsString('fleetgraph_bus_skipped_records_total');
      expect(skipped).toContain(`{group="${name}",topic="${topic}"} 3`);
      await behind.close();
    });
  });

  test('measures what goes in, what comes out and what is left', async () => {
    const topic = await makeTopic(1);
    const name = randomUUID();
    const metrics = new Registry();
    const measured = await world.createBus({ metrics });
    let refuse = true;
    const gate = createGate();
    await measured.subscribe({ group: name, topics: [topic], maxBatchSize: 4 }, async ({ records }) => {
      if (records[0]?.offset === 0n && refuse) {
        refuse = false;
        throw new Error('not yet');
      }
      if (records[0]?.offset === 4n) await gate.opened;
    });
    await measured.publish(topic, sequence('k', 7));
    const labels = `{group="${name}",topic="${topic}"}`;
    await eventually(async () => {
      const text = await metrics.metrics();
      expect(text).toContain(`fleetgraph_bus_published_records_total{topic="${topic}"} 7`);
      expect(text).toContain(`fleetgraph_bus_consumed_records_total${labels} 4`);
      expect(text).toContain(`fleetgraph_bus_refused_batches_total${labels} 1`);
      expect(text).toContain(`fleetgraph_bus_lag_records${labels} 3`);
      expect(text).toContain(`fleetgraph_bus_lease_changes_total{group="${name}",kind="acquired"} 1`);
      expect(text).toContain('fleetgraph_bus_publish_seconds_count 1');
      expect(text).toContain('fleetgraph_bus_queued_records 0');
    });
    gate.open();
    await eventually(async () => expect(await metrics.metrics()).toContain(`fleetgraph_bus_lag_records${labels} 0`));
    await measured.close();
  });

  test('gives up a statement that misses its deadline', async () => {
    const client = await world.database.pool.connect();
    await client.query('BEGIN; LOCK TABLE bus.records IN ACCESS EXCLUSIVE MODE');
    const topic = await makeTopic(1);
    const hurried = await world.createBus({ publishDeadlineMs: 200 });
    await expect(hurried.publish(topic, [record('k', '1')])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await client.query('ROLLBACK');
    client.release();
    await expect(hurried.publish(topic, [record('k', '1')])).resolves.toBeUndefined();
    await expect(
      statementsOn(world.database.pool).run({ name: 'sleep', text: 'SELECT pg_sleep(5)' }, [], 50),
    ).rejects.toThrow(/timeout/);
  });
});
