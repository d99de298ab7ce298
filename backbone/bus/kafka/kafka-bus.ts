/**
 * The EventBus on Kafka or Redpanda, through kafkajs.
 *
 * - ../publish-queue.ts, record-appender.ts: calls share a flush; an idempotent producer, durable on all in-sync replicas.
 * - group-member.ts, group-session.ts, ../partition-consumer.ts: at-least-once consumption in a consumer group.
 * - tail.ts: the live end, for each caller. kafka-topics.ts: topics, offsets, lag.
 *
 * kafkajs is used behind this folder only.
 */
import type { Registry } from 'prom-client';
import type { KafkaConfig } from '../../../platform/config/config.js';
import { FleetgraphError, messageOf } from '../../../platform/errors.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createBusMetrics } from '../bus-metrics.js';
import type { EventBus, Subscription } from '../event-bus.js';
import { assignPartition } from '../partitioner.js';
import { createPublishQueue } from '../publish-queue.js';
import { joinGroup } from './group-member.js';
import { kafkaClients } from './kafka-client.js';
import { publishFault } from './kafka-errors.js';
import { createKafkaTopics } from './kafka-topics.js';
import { createRecordAppender } from './record-appender.js';
import { startTail } from './tail.js';

export interface KafkaBusOptions {
  readonly kafka: KafkaConfig;
  /** Name of this process among its peers. */
  readonly instance: string;
  readonly log: Logger;
  /** Must not have the metrics of another bus. */
  readonly metrics: Registry;
  /** A group member that is silent for this long loses its partitions. Brokers take 6,000 or more. Default 10,000. */
  readonly sessionTimeoutMs?: number;
  /** How soon a partition that is added is consumed. Default 60,000. */
  readonly metadataMaxAgeMs?: number;
  /** How long a stop waits for running handlers before it aborts their signal, and then once more. Default 5,000. */
  readonly stopGraceMs?: number;
  /** Most bytes of values in a batch; a larger record comes alone. Default 1 MiB. */
  readonly maxBatchBytes?: number;
  /** Bytes that may wait in `publish`, over all calls; beyond, calls are refused with UNAVAILABLE. Default 256 MiB. */
  readonly maxQueuedBytes?: number;
  /** A flush that is not durable after this long is given up. Default 30,000. */
  readonly publishDeadlineMs?: number;
}

/** Most of one flush: with three bytes for each UTF-16 unit still within the topics' `max.message.bytes`. */
const flushLimits = { records: 10_000, bytes: 2 * 2 ** 20 };

/**
 * Opens the bus. Nothing fails here if the brokers are away.
 * @throws StartupError when the certificate authority can't be read.
 */
export function createKafkaBus(options: KafkaBusOptions): EventBus {
  const { kafka, instance, log, sessionTimeoutMs = 10_000, stopGraceMs = 5_000, maxBatchBytes = 2 ** 20 } = options;
  const createKafka = kafkaClients(kafka, `fleetgraph-${instance}`, log);
  const { prefix } = kafka;
  const topics = createKafkaTopics(createKafka, kafka);
  const appender = createRecordAppender({
    createKafka,
    prefix,
    log,
    compression: kafka.compression,
    deadlineMs: options.publishDeadlineMs ?? 30_000,
  });
  const membership = {
    createKafka,
    prefix,
    log,
    sessionTimeoutMs,
    stopGraceMs,
    metadataMaxAgeMs: options.metadataMaxAgeMs ?? 60_000,
  };
  const subscriptions = new Set<Subscription>();
  const groups = new Set<string>();
  const partitionCounts = new Map<string, Promise<number>>();
  let closing: Promise<void> | undefined;
  let accepts = true;

  const queue = createPublishQueue({
    append: (records) => appender.append(records),
    faultOf: publishFault,
    limits: flushLimits,
    lingerMs: kafka.lingerMs,
    maxQueuedBytes: options.maxQueuedBytes ?? 256 * 2 ** 20,
    onFlushed(records, seconds) {
      metrics.flushed(seconds);
      const counts = new Map<string, number>();
      for (const { topic } of records) counts.set(topic, (counts.get(topic) ?? 0) + 1);
      for (const [topic, count] of counts) metrics.published(topic, count);
    },
    onFailed: () => metrics.publishFailed(),
  });
  const metrics = createBusMetrics(
    options.metrics,
    () => topics.lag([...groups]),
    () => queue.depth(),
  );

  /** One promise for each topic, kept: calls that wait for the first answer go on in the order in which they were made. */
  const partitionsOf = (topic: string): Promise<number> => {
    const known = partitionCounts.get(topic);
    if (known) return known;
    const asked = topics.partitionCount(topic);
    partitionCounts.set(topic, asked);
    asked.catch(() => partitionCounts.delete(topic));
    return asked;
  };

  const refuseIfClosed = (): void => {
    if (!accepts) throw new FleetgraphError('UNAVAILABLE', 'The bus is closed: the process is stopping.');
  };

  /** Stops with the bus, if not before. */
  const stopWithBus = (subscription: Subscription, onStopped: () => void = () => undefined): Subscription => {
    const kept: Subscription = {
      ready: () => subscription.ready(),
      async stop() {
        await subscription.stop();
        if (subscriptions.delete(kept)) onStopped();
      },
    };
    subscriptions.add(kept);
    return kept;
  };

  const close = async (): Promise<void> => {
    // Handlers that still run may publish what they have done.
    await Promise.all([...subscriptions].map((subscription) => subscription.stop()));
    accepts = false;
    // Calls that still wait to hear how many partitions there are come into the queue right after.
    await Promise.allSettled(partitionCounts.values());
    await queue.drain();
    await appender.close();
    await topics.close();
  };

  return {
    ensureTopics: (wanted) => topics.create(wanted),
    partitionsOf,
    async publish(topic, records) {
      refuseIfClosed();
      const partitions = await partitionsOf(topic);
      await queue.push(records.map((record) => assignPartition(topic, record, partitions)));
    },
    async subscribe(subscription, handler) {
      refuseIfClosed();
      const { group, from = 'earliest' } = subscription;
      for (const topic of subscription.topics) await partitionsOf(topic);
      const beginnings = from === 'latest' ? await topics.uncommittedEnds(group, subscription.topics) : [];
      groups.add(group);
      return stopWithBus(
        await joinGroup({ ...membership, metrics, maxBatchBytes, beginnings }, subscription, handler),
        () => groups.delete(group),
      );
    },
    async tail(names, handler) {
      refuseIfClosed();
      for (const topic of names) await partitionsOf(topic);
      const ends = await topics.ends(names);
      return stopWithBus(
        await startTail(
          {
            ...membership,
            topics: names,
            ends,
            name: `fleetgraph-tail-${instance}`,
            maxRecords: 1_000,
          },
          handler,
        ),
      );
    },
    async lag(group) {
      return new Map((await topics.lag([group])).map(({ topic, lag }) => [topic, lag]));
    },
    async ready() {
      refuseIfClosed();
      try {
        await topics.ping(2_000);
      } catch (error) {
        throw new Error(`the bus is away: ${messageOf(error)}`, { cause: error });
      }
    },
    close: () => (closing ??= close()),
  };
}
