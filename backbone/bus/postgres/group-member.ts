/**
 * One member of a consumer group: holds leases of its partitions (lease-keeper.ts), reads those that want records, all
 * in one statement, and gives each its own (../partition-consumer.ts).
 * Memory is bounded: for each partition one batch that is handled and, while there is a backlog, one that waits.
 */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../../platform/errors.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import type { BusMetrics } from '../bus-metrics.js';
import type { BatchHandler, SubscribeOptions, Subscription } from '../event-bus.js';
import { createPartitionConsumer, type PartitionConsumer, type Position } from '../partition-consumer.js';
import { keepLeases } from './lease-keeper.js';
import { commitOffsets, createLeases } from './leases.js';
import { readRecords } from './log-reading.js';
import { createOffsetCommits } from './offset-commits.js';
import type { Statements } from './statement.js';
import type { WakeUp } from './wake-up.js';

export interface GroupMemberOptions {
  readonly statements: Statements;
  readonly wakeUp: WakeUp;
  readonly log: Logger;
  readonly metrics: BusMetrics;
  readonly leaseTtlMs: number;
  /** How long a stop waits for running handlers before it aborts their signal, milliseconds. */
  readonly stopGraceMs: number;
  /** Until a look at a topic that nothing announced, milliseconds. */
  readonly pollMs: () => number;
  /** Most bytes of values in a batch. */
  readonly maxBatchBytes: number;
}

/** Joins the group. Resolves once it has tried to get its first partitions; rejects if the database is away. */
export async function joinGroup(
  options: GroupMemberOptions,
  { group, topics, from = 'earliest', maxBatchSize = 500 }: SubscribeOptions,
  handler: BatchHandler,
): Promise<Subscription> {
  const { statements, wakeUp, log, metrics } = options;
  const membership = { group, topics, member: randomUUID() };
  const limits = { records: maxBatchSize, bytes: options.maxBatchBytes };
  const stopped = new AbortController();
  const bell = wakeUp.bell(topics.map((topic) => `topic ${topic}` as const));
  const commit = createOffsetCommits((progress) => commitOffsets(statements, membership, progress));
  let failure: unknown;
  const outages = createOutageLog({ log, event: 'the bus can not be read' });

  await createLeases(statements, membership, from);
  const keeper = await keepLeases({
    statements,
    wakeUp,
    log,
    membership,
    ttlMs: options.leaseTtlMs,
    onChanged: (kind, partitions) => metrics.partitionsChanged(group, kind, partitions),
    consume(lease, lost, onLost, after) {
      const { topic, partition } = lease;
      const skipped = (records: number): void => {
        metrics.skipped(group, topic, records);
        log.warn({ group, topic, partition, records }, 'records were past their retention before the group had them');
      };
      if (lease.low > lease.committed) skipped(Number(lease.low - lease.committed));
      bell.ring();
      return createPartitionConsumer({
        lost,
        handler,
        log,
        group,
        onLost,
        after,
        from: { topic, partition, offset: lease.low > lease.committed ? lease.low : lease.committed },
        commit: (offset) => commit({ lease, offset }),
        onConsumed: (records) => metrics.consumed(group, topic, records),
        onRefused: () => metrics.refused(group, topic),
        onSkipped: skipped,
        onWanting: bell.ring,
      });
    },
  });

  /** Reads for every partition that wants records. @returns whether there were any. */
  const feed = async (): Promise<boolean> => {
    const wanting: PartitionConsumer[] = [];
    const positions: Position[] = [];
    for (const consumer of keeper.consumers()) {
      const position = consumer.wanted();
      if (position === undefined) continue;
      wanting.push(consumer);
      positions.push(position);
    }
    const found = await readRecords(statements, positions, limits);
    if (stopped.signal.aborted) return false;
    for (const [index, { records, more }] of found.entries()) wanting[index]?.give(records, more);
    return found.some(({ records }) => records.length > 0);
  };

  const feeding = (async () => {
    for (let attempt = 0; !stopped.signal.aborted;) {
      try {
        const fed = await feed();
        failure = undefined;
        outages.succeeded(group);
        attempt = 0;
        if (!fed) await bell.wait(options.pollMs(), stopped.signal);
      } catch (error) {
        outages.failed(group, error, { group });
        failure = error;
        await pause(50 + backoffMs(attempt, 100, 2_000), stopped.signal);
        attempt += 1;
      }
    }
  })();

  const stop = async (): Promise<void> => {
    stopped.abort();
    await keeper.leave(options.stopGraceMs);
    await feeding;
    bell.close();
  };
  let stopping: Promise<void> | undefined;
  return {
    stop: () => (stopping ??= stop()),
    async ready() {
      const cause = keeper.failure() ?? failure;
      if (cause !== undefined) throw new Error(`${group} can't consume: ${messageOf(cause)}`, { cause });
    },
  };
}
