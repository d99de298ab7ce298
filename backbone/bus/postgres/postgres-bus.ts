/** The EventBus on PostgreSQL: the backbone of a machine without Kafka, with the same promises. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type pg from 'pg';
import { randomUUID } from 'node:crypto';
import { sqlOf } from '../../../platform/database/sql.js';
import { FleetgraphError, messageOf } from '../../../platform/errors.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { EventBus, Subscription } from '../event-bus.js';
import { joinAsMember } from './group-member.js';
import { groupLag } from './leases.js';
import { partitionOf } from './partitioner.js';
import { createPublishQueue } from './publish-queue.js';
import { appendRecords, createTopics, deleteExpired, partitionCounts } from './records.js';
import { startTail } from './tail.js';
import { createWakeUp } from './wake-up.js';

export interface PostgresBusOptions {
  readonly pool: pg.Pool;
  /** For the one connection that listens for wake-ups. */
  readonly databaseUrl: string;
  readonly log: Logger;
  readonly metrics: Registry;
  /** A group member that is silent for this long loses its partitions. Default 6,000. */
  readonly leaseTtlMs?: number;
  /** How often a reader that nothing wakes looks by itself. Default 250. */
  readonly pollIntervalMs?: number;
  /** How often records past their retention are deleted. Default 60,000. */
  readonly retentionIntervalMs?: number;
}

/** Opens the bus. The tables must be there (see prisma/migrations). */
export function createPostgresBus(options: PostgresBusOptions): EventBus {
  const { pool, log } = options;
  const sql = sqlOf(pool);
  const pollIntervalMs = options.pollIntervalMs ?? 250;
  const metrics = createBusMetrics(options.metrics, async () => groupLag(sql));
  const wakeUp = createWakeUp(options);
  const subscriptions = new Set<Subscription>();
  const counts = new Map<string, number>();
  const closed = new AbortController();

  const queue = createPublishQueue({
    append: (records) => appendRecords(sql, records),
    onFlushed(records, seconds) {
      metrics.publishSeconds.observe(seconds);
      const topics = new Set<string>();
      for (const { topic } of records) {
        topics.add(topic);
        metrics.published.inc({ topic });
      }
      wakeUp.announce(topics);
    },
  });

  const partitionsOf = async (topic: string): Promise<number> => {
    const known = counts.get(topic) ?? (await partitionCounts(sql, [topic])).get(topic);
    if (known === undefined)
      throw new FleetgraphError(
        'INTERNAL_SERVER_ERROR',
        `The topic ${topic} does not exist. Make it with ensureTopics first.`,
      );
    counts.set(topic, known);
    return known;
  };

  const keep = (subscription: Subscription): Subscription => {
    const kept: Subscription = {
      ...subscription,
      async stop() {
        subscriptions.delete(kept);
        await subscription.stop();
      },
    };
    subscriptions.add(kept);
    return kept;
  };

  const retention = (async () => {
    while (!closed.signal.aborted) {
      await pause(options.retentionIntervalMs ?? 60_000, closed.signal);
      try {
        while (!closed.signal.aborted && (await deleteExpired(sql, 5_000)) > 0);
      } catch (error) {
        log.warn({ err: error }, 'old records of the bus could not be deleted; tried again later');
      }
    }
  })();

  return {
    async ensureTopics(topics) {
      await createTopics(sql, topics);
    },
    async publish(topic, records) {
      if (closed.signal.aborted)
        throw new FleetgraphError('UNAVAILABLE', 'The bus is closed: the process is stopping.');
      const partitions = counts.get(topic) ?? (await partitionsOf(topic));
      await queue.push(
        records.map(({ key, value, headers, partition = partitionOf(key, partitions) }) => {
          if (partition < 0 || partition >= partitions)
            throw new RangeError(`${topic} has ${partitions} partitions; there is no partition ${partition}.`);
          return { topic, partition, key, value, headers };
        }),
      );
    },
    async subscribe(subscription, handler) {
      for (const topic of subscription.topics) await partitionsOf(topic);
      const { group } = subscription;
      return keep(
        await joinAsMember(
          {
            sql,
            wakeUp,
            log,
            membership: { group, member: randomUUID(), topics: subscription.topics },
            from: subscription.from ?? 'earliest',
            maxBatchSize: subscription.maxBatchSize ?? 500,
            leaseTtlMs: options.leaseTtlMs ?? 6_000,
            pollIntervalMs,
            onConsumed: (topic, count) => metrics.consumed.inc({ group, topic }, count),
            onLeasesChanged: (kind, count) => metrics.leases.inc({ group, kind }, count),
          },
          handler,
        ),
      );
    },
    async tail(topics, handler) {
      for (const topic of topics) await partitionsOf(topic);
      return keep(await startTail({ sql, wakeUp, log, topics, pollIntervalMs }, handler));
    },
    async lag(group) {
      return new Map((await groupLag(sql, group)).map(({ topic, lag }) => [topic, lag]));
    },
    async ready() {
      try {
        await pool.query('SELECT 1');
      } catch (error) {
        throw new Error(`the bus is away: ${messageOf(error)}`, { cause: error });
      }
    },
    async close() {
      await Promise.all([...subscriptions].map((subscription) => subscription.stop()));
      await queue.drain();
      closed.abort();
      await retention;
      await wakeUp.stop();
    },
  };
}

function createBusMetrics(
  registry: Registry,
  readLag: () => Promise<readonly { group: string; topic: string; lag: number }[]>,
) {
  const registers = [registry];
  new Gauge({
    name: 'fleetgraph_bus_lag_records',
    help: 'Records that a consumer group has not committed yet.',
    labelNames: ['group', 'topic'],
    registers,
    async collect() {
      // A scrape must not fail because the database is away.
      for (const { group, topic, lag } of await readLag().catch(() => [])) this.set({ group, topic }, lag);
    },
  });
  return {
    published: new Counter({
      name: 'fleetgraph_bus_published_records_total',
      help: 'Records made durable.',
      labelNames: ['topic'],
      registers,
    }),
    consumed: new Counter({
      name: 'fleetgraph_bus_consumed_records_total',
      help: 'Records handled and committed.',
      labelNames: ['group', 'topic'],
      registers,
    }),
    leases: new Counter({
      name: 'fleetgraph_bus_lease_changes_total',
      help: 'Partitions acquired, released and lost.',
      labelNames: ['group', 'kind'],
      registers,
    }),
    publishSeconds: new Histogram({
      name: 'fleetgraph_bus_publish_seconds',
      help: 'Time of one flush to durable.',
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2],
      registers,
    }),
  };
}
