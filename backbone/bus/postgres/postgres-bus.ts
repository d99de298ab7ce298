/**
 * The EventBus on PostgreSQL: a partitioned log with consumer groups, the backbone of a machine without Kafka.
 *
 * - ../publish-queue.ts, log-appending.ts: calls share a flush, one transaction that gives gap-free offsets.
 * - group-member.ts, lease-keeper.ts, ../partition-consumer.ts: at-least-once consumption, one member for each partition.
 * - tail.ts: the live end, for each caller. retention.ts: what may go, goes.
 * - wake-up.ts: readers are told of new records within milliseconds; what is not told is found by polling.
 *
 * All state is in the schema `bus`; any number of processes may open a bus on the same database.
 */
import type { Registry } from 'prom-client';
import type pg from 'pg';
import { isPermanentDatabaseError } from '../../../platform/database/permanent.js';
import { isTransientDatabaseError } from '../../../platform/database/transient.js';
import { FleetgraphError, messageOf } from '../../../platform/errors.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createBusMetrics } from '../bus-metrics.js';
import type { EventBus, Subscription } from '../event-bus.js';
import { assignPartition } from '../partitioner.js';
import { createPublishQueue, type PublishFault } from '../publish-queue.js';
import { joinGroup } from './group-member.js';
import { groupLag } from './leases.js';
import { appendRecords } from './log-appending.js';
import { createTopics, partitionCount } from './log-topics.js';
import { keepRetention } from './retention.js';
import { statementsOn, type Statement } from './statement.js';
import { startTail } from './tail.js';
import { createWakeUp } from './wake-up.js';

export interface PostgresBusOptions {
  readonly pool: pg.Pool;
  /** For the one connection that listens for wake-ups. */
  readonly databaseUrl: string;
  readonly log: Logger;
  /** Must not have the metrics of another bus. */
  readonly metrics: Registry;
  /** A group member that is silent for this long loses its partitions. Default 6,000. */
  readonly leaseTtlMs?: number;
  /** How long a stop waits for running handlers before it aborts their signal, and then once more. Default 5,000. */
  readonly stopGraceMs?: number;
  /** How often a reader looks by itself while wake-ups of other processes are not heard. Default 200. */
  readonly pollMs?: number;
  /** How often a reader looks by itself although they are heard. Default 1,000. */
  readonly fallbackPollMs?: number;
  /** Most bytes of values in a batch; a larger record comes alone. Default 1 MiB. */
  readonly maxBatchBytes?: number;
  /** Most records in one flush of `publish`. Default 2,000. */
  readonly maxFlushRecords?: number;
  /** Bytes that may wait in `publish`, over all calls; beyond, calls are refused with UNAVAILABLE. Default 256 MiB. */
  readonly maxQueuedBytes?: number;
  /** A flush that is not durable after this long is given up. Default 30,000. */
  readonly publishDeadlineMs?: number;
  /** How often records past their retention are deleted. Default 60,000. */
  readonly retentionIntervalMs?: number;
}

const maxFlushBytes = 4 * 2 ** 20;
const tailRecords = 1_000;
const ping: Statement = { name: 'ping', text: 'SELECT 1' };

/** Opens the bus. The tables must be there (see prisma/migrations). Nothing fails here if the database is away. */
export function createPostgresBus(options: PostgresBusOptions): EventBus {
  const { pool, log, pollMs = 200, fallbackPollMs = 1_000, stopGraceMs = 5_000, maxBatchBytes = 2 ** 20 } = options;
  const statements = statementsOn(pool);
  const wakeUp = createWakeUp({ statements, databaseUrl: options.databaseUrl, log });
  const subscriptions = new Set<Subscription>();
  const partitionCounts = new Map<string, Promise<number>>();
  const retentionStopped = new AbortController();
  let closing: Promise<void> | undefined;
  let accepts = true;

  const queue = createPublishQueue({
    append: (records) => appendRecords(statements, records, options.publishDeadlineMs),
    faultOf: publishFault,
    limits: { records: options.maxFlushRecords ?? 2_000, bytes: maxFlushBytes },
    maxQueuedBytes: options.maxQueuedBytes ?? 256 * 2 ** 20,
    onFlushed(records, seconds) {
      metrics.flushed(seconds);
      const counts = new Map<string, number>();
      for (const { topic } of records) counts.set(topic, (counts.get(topic) ?? 0) + 1);
      for (const [topic, count] of counts) metrics.published(topic, count);
      wakeUp.announce([...counts.keys()].map((topic) => `topic ${topic}` as const));
    },
    onFailed: () => metrics.publishFailed(),
  });
  const metrics = createBusMetrics(
    options.metrics,
    () => groupLag(statements),
    () => queue.depth(),
  );
  const retention = keepRetention({
    statements,
    log,
    signal: retentionStopped.signal,
    intervalMs: options.retentionIntervalMs ?? 60_000,
  });

  const reading = {
    statements,
    wakeUp,
    log,
    stopGraceMs,
    pollMs: () => (wakeUp.hears() ? fallbackPollMs : pollMs),
  };

  /** One promise for each topic, kept: calls that wait for the first answer go on in the order in which they were made. */
  const partitionsOf = (topic: string): Promise<number> => {
    const known = partitionCounts.get(topic);
    if (known) return known;
    const asked = partitionCount(statements, topic);
    partitionCounts.set(topic, asked);
    asked.catch(() => partitionCounts.delete(topic));
    return asked;
  };

  const refuseIfClosed = (): void => {
    if (!accepts) throw new FleetgraphError('UNAVAILABLE', 'The bus is closed: the process is stopping.');
  };

  /** Stops with the bus, if not before. */
  const stopWithBus = (subscription: Subscription): Subscription => {
    const kept: Subscription = {
      ready: () => subscription.ready(),
      async stop() {
        await subscription.stop();
        subscriptions.delete(kept);
      },
    };
    subscriptions.add(kept);
    return kept;
  };

  const close = async (): Promise<void> => {
    // Handlers that still run may publish what they have done.
    await Promise.all([...subscriptions].map((subscription) => subscription.stop()));
    accepts = false;
    await queue.drain();
    retentionStopped.abort();
    await retention;
    await wakeUp.stop();
  };

  return {
    ensureTopics: (topics) => createTopics(statements, topics),
    partitionsOf,
    async publish(topic, records) {
      refuseIfClosed();
      const partitions = await partitionsOf(topic);
      await queue.push(records.map((record) => assignPartition(topic, record, partitions)));
    },
    async subscribe(subscription, handler) {
      refuseIfClosed();
      for (const topic of subscription.topics) await partitionsOf(topic);
      const { leaseTtlMs = 6_000 } = options;
      return stopWithBus(await joinGroup({ ...reading, metrics, leaseTtlMs, maxBatchBytes }, subscription, handler));
    },
    async tail(topics, handler) {
      refuseIfClosed();
      for (const topic of topics) await partitionsOf(topic);
      const limits = { records: tailRecords, bytes: maxBatchBytes };
      return stopWithBus(await startTail({ ...reading, topics, limits }, handler));
    },
    async lag(group) {
      return new Map((await groupLag(statements, group)).map(({ topic, lag }) => [topic, lag]));
    },
    async ready() {
      refuseIfClosed();
      try {
        await statements.run(ping, [], 2_000);
      } catch (error) {
        throw new Error(`the bus is away: ${messageOf(error)}`, { cause: error });
      }
    },
    close: () => (closing ??= close()),
  };
}

function publishFault(error: unknown): PublishFault {
  if (isPermanentDatabaseError(error)) return 'content';
  return isTransientDatabaseError(error) || /timeout/i.test(messageOf(error)) ? 'away' : 'defect';
}
