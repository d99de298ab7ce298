/**
 * Deletes what is older than the retention of its topic and behind every group, in small steps.
 * Invariant: a record that some group has not committed is never deleted, however old: a group that nobody is a member
 * of any more keeps its records until its rows in bus.leases are deleted. `low_offset` moves before the records go, so
 * that no position between the two is ever taken for readable. One partition at a time: a statement that locked several
 * rows of bus.partitions could wait in a circle with a producer.
 */
import { pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { TopicPartition } from '../event-bus.js';
import type { Statement, Statements } from './statement.js';

// The lock on the leases' rows is not needed: committed offsets only grow, so that the minimum is a safe bound later too.
const moveLowOffset: Statement = {
  name: 'move_low_offset',
  text: `UPDATE bus.partitions p SET low_offset = due.until
     FROM (
       SELECT max(oldest."offset") + 1 AS until FROM (
         SELECT r."offset", r.timestamp FROM bus.records r
         WHERE r.topic = $1 AND r.partition = $2
           AND r."offset" < coalesce((SELECT min(l.committed) FROM bus.leases l WHERE l.topic = $1 AND l.partition = $2), 9223372036854775807)
         ORDER BY r."offset" LIMIT $3) oldest
       WHERE oldest.timestamp < now() - (SELECT make_interval(secs => t.retention_ms / 1000.0) FROM bus.topics t WHERE t.name = $1)) due
     WHERE p.topic = $1 AND p.partition = $2 AND due.until > p.low_offset`,
};

const deleteBelowLowOffset: Statement = {
  name: 'delete_below_low_offset',
  text: `DELETE FROM bus.records WHERE ctid = ANY(ARRAY(
       SELECT r.ctid FROM bus.records r JOIN bus.partitions p USING (topic, partition)
       WHERE r.topic = $1 AND r.partition = $2 AND r."offset" < p.low_offset
       ORDER BY r."offset" LIMIT $3 FOR UPDATE OF r SKIP LOCKED))`,
};

const readPartitions: Statement = {
  name: 'read_partitions',
  text: 'SELECT topic, partition FROM bus.partitions ORDER BY topic, partition',
};

/**
 * Deletes at most `limit` expired records of one partition.
 * @returns how many.
 */
export async function deleteExpired(
  statements: Statements,
  { topic, partition }: TopicPartition,
  limit: number,
): Promise<number> {
  await statements.run(moveLowOffset, [topic, partition, limit]);
  return (await statements.run(deleteBelowLowOffset, [topic, partition, limit])).count;
}

/** Deletes expired records every `intervalMs` until aborted. A failure is logged and the next round tries again. */
export async function keepRetention(options: {
  statements: Statements;
  log: Logger;
  intervalMs: number;
  signal: AbortSignal;
  chunk?: number;
}): Promise<void> {
  const { statements, log, intervalMs, signal, chunk = 5_000 } = options;
  for (;;) {
    await pause(intervalMs, signal);
    if (signal.aborted) return;
    try {
      const { rows } = await statements.run<TopicPartition>(readPartitions, []);
      for (const partition of rows)
        while (!signal.aborted && (await deleteExpired(statements, partition, chunk)) === chunk);
    } catch (error) {
      log.warn({ err: error }, 'old records of the bus could not be deleted; tried again later');
    }
  }
}
