/**
 * The port to the event backbone. Two adapters: `postgres/` (a partitioned log in PostgreSQL) and `kafka/` (Redpanda).
 * test/backbone/bus/contract.ts holds what every adapter promises.
 */

/** A record before the bus has it. The key decides the partition; records of one key stay in order. */
export interface OutgoingRecord {
  readonly key: string;
  /** UTF-8 text, JSON in all of fleetgraph. */
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Overrides the partition that the key would choose. */
  readonly partition?: number;
}

/** A record as the bus gives it. */
export interface BusRecord {
  readonly topic: string;
  readonly partition: number;
  /** Position in the partition. Grows, without gaps in the postgres adapter, possibly with gaps in Kafka. */
  readonly offset: bigint;
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
  /** When the bus stored it, epoch milliseconds. */
  readonly timestampMs: number;
}

/** Records of one partition in offset order. */
export interface RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly BusRecord[];
  /**
   * Aborted when the partition is lost, or when the handler takes longer than a stop of the subscription waits for it:
   * abandon, nothing of the batch will be committed after.
   */
  readonly signal: AbortSignal;
}

export interface SubscribeOptions {
  readonly group: string;
  /** Every member of a group names the same topics. */
  readonly topics: readonly string[];
  /** Most records in a batch. Default 500. */
  readonly maxBatchSize?: number;
  /** Where a group without a committed offset begins. Default `earliest`. */
  readonly from?: 'earliest' | 'latest';
}

/**
 * Takes a batch. The offset is committed only after the promise resolves. When it rejects, the same records are
 * given again (perhaps to another member) after a backoff; nothing behind them in the partition is given before.
 */
export type BatchHandler = (batch: RecordBatch) => Promise<void>;

export interface Subscription {
  /** Stops taking records, lets running handlers finish and commit, hands the partitions over. Bounded, and safe to call twice. */
  stop(): Promise<void>;
  /** Rejects with the last error while the subscription can't consume. */
  ready(): Promise<void>;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface TopicOptions {
  readonly name: string;
  readonly partitions: number;
  readonly retentionMs: number;
}

export interface EventBus {
  /** Makes the topics that are missing. Raises the partition count never by itself. */
  ensureTopics(topics: readonly TopicOptions[]): Promise<void>;
  /** How many partitions the topic has, whatever was asked for when it was made. */
  partitionsOf(topic: string): Promise<number>;
  /**
   * Appends records; all of them or, when it rejects, perhaps some. Resolves only when they are durable.
   * Concurrent calls are batched together; the order of calls is kept for each key. A call that rejects because the
   * backbone is away takes with it every call made before its caller could know: none of them overtakes it, and a
   * caller that repeats them in order keeps the order (and may have stored some of them twice).
   * @throws FleetgraphError UNAVAILABLE: publish again later. BAD_USER_INPUT: a record that can never be stored.
   */
  publish(topic: string, records: readonly OutgoingRecord[]): Promise<void>;
  /**
   * At-least-once delivery to one member of the group a partition; several partitions are handled side by side.
   * A handler that rejects while its subscription stops leaves its batch to the next owner of the partition.
   */
  subscribe(options: SubscribeOptions, handler: BatchHandler): Promise<Subscription>;
  /**
   * Gives this caller every record that is appended from now on. Once resolved, nothing later is missed while the caller
   * keeps up. More is read when the handler has resolved; when it rejects, it is given the same records again.
   */
  tail(
    topics: readonly string[],
    handler: (records: readonly BusRecord[]) => void | Promise<void>,
  ): Promise<Subscription>;
  /** Records not yet committed by the group, summed over partitions, for each topic. */
  lag(group: string): Promise<ReadonlyMap<string, number>>;
  /** Rejects if records can't be published now. */
  ready(): Promise<void>;
  /** Flushes what was given to `publish`, stops every subscription. */
  close(): Promise<void>;
}
