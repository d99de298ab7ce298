/** Topics and their partitions, in SQL. */
import { FleetgraphError } from '../../../platform/errors.js';
import type { TopicOptions } from '../event-bus.js';
import type { Position } from '../partition-consumer.js';
import type { Statement, Statements } from './statement.js';

const createMissing: Statement = {
  name: 'create_topics',
  text: `WITH input AS (SELECT * FROM json_to_recordset($1::json) AS t(name text, partitions int, "retentionMs" bigint)),
     made AS (
       INSERT INTO bus.topics (name, partitions, retention_ms) SELECT name, partitions, "retentionMs" FROM input ORDER BY name
       ON CONFLICT (name) DO UPDATE SET retention_ms = EXCLUDED.retention_ms RETURNING name, partitions)
     INSERT INTO bus.partitions (topic, partition)
     SELECT name, generate_series(0, partitions - 1) FROM made ORDER BY 1, 2 ON CONFLICT DO NOTHING`,
};

/**
 * Makes missing topics with their partitions. Those that exist keep their partition count, for a key must stay where
 * it is, and take the new retention.
 * @throws FleetgraphError BAD_USER_INPUT for a partition count or retention that is not a positive whole number.
 */
export async function createTopics(statements: Statements, topics: readonly TopicOptions[]): Promise<void> {
  for (const { name, partitions, retentionMs } of topics) {
    if (!Number.isInteger(partitions) || partitions < 1 || !Number.isInteger(retentionMs) || retentionMs < 1)
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        `The topic ${name} needs at least one partition and a retention of at least one millisecond.`,
      );
  }
  await statements.run(createMissing, [JSON.stringify(topics)]);
}

const countPartitions: Statement = {
  name: 'count_partitions',
  text: 'SELECT partitions FROM bus.topics WHERE name = $1',
};

/**
 * Number of partitions of a topic.
 * @throws FleetgraphError INTERNAL_SERVER_ERROR when it was never made.
 */
export async function partitionCount(statements: Statements, topic: string): Promise<number> {
  const { rows } = await statements.run<{ partitions: number }>(countPartitions, [topic]);
  const [row] = rows;
  if (row === undefined)
    throw new FleetgraphError(
      'INTERNAL_SERVER_ERROR',
      `The topic ${topic} does not exist. Make it with ensureTopics first.`,
    );
  return row.partitions;
}

const readEnds: Statement = {
  name: 'read_ends',
  text: 'SELECT topic, partition, next_offset AS "offset" FROM bus.partitions WHERE topic = ANY($1::text[]) ORDER BY topic, partition',
};

/** Offset of the next record of each partition of the topics. */
export async function endPositions(statements: Statements, topics: readonly string[]): Promise<readonly Position[]> {
  return (await statements.run<Position>(readEnds, [topics])).rows;
}
