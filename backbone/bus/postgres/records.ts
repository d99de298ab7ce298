/**
 * The log itself, in SQL. Invariant: offsets of a partition have no gaps and become visible in their order, because the
 * row of the partition is locked from the moment the offsets are taken until the commit. A reader that has seen offset
 * n has therefore seen every one before it: no late commit can be skipped.
 */
import type { Sql } from '../../../platform/database/sql.js';
import type { BusRecord, TopicOptions, TopicPartition } from '../event-bus.js';

/** A record that knows its partition. */
export interface AssignedRecord extends TopicPartition {
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Position extends TopicPartition {
  readonly offset: bigint;
}

/** Makes missing topics with their partitions; those that exist keep their partition count. */
export async function createTopics(sql: Sql, topics: readonly TopicOptions[]): Promise<void> {
  await sql.query(
    `WITH input AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS t(name text, partitions int, "retentionMs" bigint)),
     made AS (
       INSERT INTO bus.topics (name, partitions, retention_ms) SELECT name, partitions, "retentionMs" FROM input ORDER BY name
       ON CONFLICT (name) DO UPDATE SET retention_ms = EXCLUDED.retention_ms RETURNING name, partitions)
     INSERT INTO bus.partitions (topic, partition)
     SELECT name, generate_series(0, partitions - 1) FROM made ORDER BY 1, 2 ON CONFLICT DO NOTHING`,
    [JSON.stringify(topics)],
  );
}

/** Number of partitions of each topic that exists. */
export async function partitionCounts(sql: Sql, topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const rows = await sql.query<{ name: string; partitions: number }>(
    'SELECT name, partitions FROM bus.topics WHERE name = ANY($1::text[])',
    [topics],
  );
  return new Map(rows.map(({ name, partitions }) => [name, partitions]));
}

/**
 * Appends records in one statement and one transaction. Partitions are locked in the order of (topic, partition), so
 * that two producers never wait on each other in a circle.
 */
export async function appendRecords(sql: Sql, records: readonly AssignedRecord[]): Promise<void> {
  await sql.query(
    `WITH input AS MATERIALIZED (
       SELECT r.value->>'topic' AS topic, (r.value->>'partition')::int AS partition, r.value->>'key' AS key,
              r.value->>'value' AS value, r.value->'headers' AS headers, r.ordinality AS n
       FROM json_array_elements($1::json) WITH ORDINALITY r),
     counts AS (SELECT topic, partition, count(*) AS n FROM input GROUP BY topic, partition),
     locked AS MATERIALIZED (
       SELECT p.topic, p.partition, p.next_offset FROM bus.partitions p JOIN counts c USING (topic, partition)
       ORDER BY p.topic, p.partition FOR UPDATE OF p),
     moved AS (
       UPDATE bus.partitions p SET next_offset = l.next_offset + c.n
       FROM locked l JOIN counts c USING (topic, partition)
       WHERE p.topic = l.topic AND p.partition = l.partition
       RETURNING p.topic, p.partition, l.next_offset AS base)
     INSERT INTO bus.records (topic, partition, "offset", key, value, headers, timestamp)
     SELECT i.topic, i.partition, m.base + row_number() OVER (PARTITION BY i.topic, i.partition ORDER BY i.n) - 1,
            i.key, i.value, i.headers, clock_timestamp()
     FROM input i JOIN moved m USING (topic, partition)`,
    [JSON.stringify(records)],
  );
}

interface RecordRow {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: string;
  readonly value: string;
  readonly headers: Record<string, string>;
  readonly timestamp: Date;
}

/** At most `limit` records of each partition from its position on, in offset order within the partition. */
export async function readRecords(sql: Sql, positions: readonly Position[], limit: number): Promise<BusRecord[]> {
  const rows = await sql.query<RecordRow>(
    `SELECT r.topic, r.partition, r."offset", r.key, r.value, r.headers, r.timestamp
     FROM unnest($1::text[], $2::int[], $3::bigint[]) AS w(topic, partition, position)
     CROSS JOIN LATERAL (
       SELECT * FROM bus.records r WHERE r.topic = w.topic AND r.partition = w.partition AND r."offset" >= w.position
       ORDER BY r."offset" LIMIT $4) r
     ORDER BY r.topic, r.partition, r."offset"`,
    [
      positions.map(({ topic }) => topic),
      positions.map(({ partition }) => partition),
      positions.map(({ offset }) => String(offset)),
      limit,
    ],
  );
  return rows.map(({ timestamp, ...record }) => ({ ...record, timestampMs: timestamp.getTime() }));
}

/** Offset of the next record of each partition. */
export async function endPositions(sql: Sql, topics: readonly string[]): Promise<Position[]> {
  return sql.query<Position>(
    'SELECT topic, partition, next_offset AS "offset" FROM bus.partitions WHERE topic = ANY($1::text[]) ORDER BY topic, partition',
    [topics],
  );
}

/**
 * Deletes at most `limit` records of each partition that are past the retention of their topic and behind every group.
 * @returns how many.
 */
export async function deleteExpired(sql: Sql, limit: number): Promise<number> {
  const rows = await sql.query<{ gone: number }>(
    `WITH due AS (
       SELECT p.topic, p.partition, e.until
       FROM bus.partitions p JOIN bus.topics t ON t.name = p.topic
       CROSS JOIN LATERAL (
         SELECT max(r."offset") + 1 AS until FROM (
           SELECT r."offset", r.timestamp FROM bus.records r
           WHERE r.topic = p.topic AND r.partition = p.partition
             AND r."offset" < (SELECT coalesce(min(l.committed), p.next_offset) FROM bus.leases l WHERE l.topic = p.topic AND l.partition = p.partition)
           ORDER BY r."offset" LIMIT $1) r
         WHERE r.timestamp < now() - make_interval(secs => t.retention_ms / 1000.0)) e
       WHERE e.until IS NOT NULL),
     moved AS (UPDATE bus.partitions p SET low_offset = due.until FROM due WHERE p.topic = due.topic AND p.partition = due.partition),
     gone AS (
       DELETE FROM bus.records r USING due WHERE r.topic = due.topic AND r.partition = due.partition AND r."offset" < due.until RETURNING 1)
     SELECT count(*)::int AS gone FROM gone`,
    [limit],
  );
  return rows[0]?.gone ?? 0;
}
