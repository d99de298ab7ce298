/**
 * One member of a consumer group: takes what Kafka gives for its partitions, hands each partition's records to the
 * handler in batches (../partition-consumer.ts), commits behind them, and pauses a partition of which enough waits.
 * Invariants: an offset is committed after the handler has resolved, and only while the partition is held; memory is
 * bounded by what may wait for each partition.
 */
import { pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { BusMetrics } from '../bus-metrics.js';
import type { BatchHandler, BusRecord, SubscribeOptions, Subscription, TopicPartition } from '../event-bus.js';
import { createPartitionConsumer, type PartitionConsumer, type Position } from '../partition-consumer.js';
import { openGroupSession } from './group-session.js';
import type { CreateKafka } from './kafka-client.js';
import { createWaitingRecords, type WaitingRecords } from './waiting-records.js';

export interface GroupMemberOptions {
  readonly createKafka: CreateKafka;
  readonly prefix: string;
  readonly log: Logger;
  readonly metrics: BusMetrics;
  readonly sessionTimeoutMs: number;
  readonly metadataMaxAgeMs: number;
  /** How long a stop waits for running handlers before it aborts their signal, and then once more, milliseconds. */
  readonly stopGraceMs: number;
  /** Most bytes of values in a batch. */
  readonly maxBatchBytes: number;
  /** Where partitions begin of which the group has committed nothing, instead of at the oldest record. */
  readonly beginnings: readonly Position[];
}

interface Held extends TopicPartition {
  readonly lost: AbortController;
  readonly waiting: WaitingRecords;
  /** Made when the first record says where the partition begins. */
  consumer: PartitionConsumer | undefined;
  paused: boolean;
}

/** Joins the group. Resolves when it has joined, or has tried. */
export async function joinGroup(
  options: GroupMemberOptions,
  { group, topics, maxBatchSize = 500 }: SubscribeOptions,
  handler: BatchHandler,
): Promise<Subscription> {
  const { log, metrics } = options;
  const held = new Map<string, Held>();
  const settling = new Map<string, Promise<void>>();
  const uncommitted = new Map<string, Position>();
  const beginnings = new Map(options.beginnings.map((position) => [nameOf(position), position]));
  let committing: Promise<void> | undefined;
  let leaving = false;

  const commitAll = async (): Promise<void> => {
    while (uncommitted.size > 0) {
      const positions = [...uncommitted.values()];
      uncommitted.clear();
      try {
        await session.commit(positions);
      } catch (error) {
        for (const position of positions) {
          const name = nameOf(position);
          // Unless something further was committed meanwhile, or the partition has another owner.
          if (held.has(name) && !uncommitted.has(name)) uncommitted.set(name, position);
        }
        log.debug({ group, err: error }, 'offsets could not be committed yet');
        await pause(50);
      }
    }
  };
  const commitSoon = (): void => {
    committing ??= commitAll().finally(() => (committing = undefined));
  };

  const feed = (entry: Held): void => {
    const { consumer, waiting } = entry;
    if (leaving || entry.lost.signal.aborted || consumer?.wanted() === undefined) return;
    const records = waiting.take(maxBatchSize, options.maxBatchBytes);
    if (records.length > 0) consumer.give(records, waiting.count() > 0);
    if (entry.paused && waiting.isLow()) {
      entry.paused = false;
      session.resume(entry);
    }
  };

  const createConsumer = (entry: Held, offset: bigint): PartitionConsumer => {
    const { topic, partition, lost } = entry;
    const name = nameOf(entry);
    const after = settling.get(name);
    return createPartitionConsumer({
      lost: lost.signal,
      handler,
      log,
      group,
      after,
      from: { topic, partition, offset },
      async commit(next) {
        if (held.get(name) !== entry) return false;
        uncommitted.set(name, { topic, partition, offset: next });
        // The next batch doesn't wait for it: until then the group merely seems to be further behind.
        commitSoon();
        return true;
      },
      onLost: () => forget(entry),
      onConsumed: (records) => metrics.consumed(group, topic, records),
      onRefused: () => metrics.refused(group, topic),
      onSkipped(records) {
        metrics.skipped(group, topic, records);
        log.warn({ group, topic, partition, records }, 'records were past their retention before the group had them');
      },
      onWanting: () => feed(entry),
    });
  };

  const forget = (entry: Held): void => {
    const name = nameOf(entry);
    if (held.get(name) !== entry) return;
    held.delete(name);
    uncommitted.delete(name);
    entry.lost.abort(new Error(`${group} no longer holds ${name}`));
    if (!entry.consumer?.busy()) return;
    // Should the partition come back, its next batch waits for the handler of this one.
    const settled = entry.consumer.finish().finally(() => {
      if (settling.get(name) === settled) settling.delete(name);
    });
    settling.set(name, settled);
  };

  const session = openGroupSession({
    createKafka: options.createKafka,
    prefix: options.prefix,
    group,
    topics,
    log,
    sessionTimeoutMs: options.sessionTimeoutMs,
    metadataMaxAgeMs: options.metadataMaxAgeMs,
    onAssigned(partitions) {
      const names = new Set(partitions.map(nameOf));
      const gone = [...held.values()].filter((entry) => !names.has(nameOf(entry)));
      for (const entry of gone) forget(entry);
      if (gone.length > 0) metrics.partitionsChanged(group, 'released', gone.length);
      const come = partitions.filter((partition) => !held.has(nameOf(partition)));
      for (const { topic, partition } of come) {
        held.set(nameOf({ topic, partition }), {
          topic,
          partition,
          lost: new AbortController(),
          waiting: createWaitingRecords(),
          consumer: undefined,
          paused: false,
        });
        // It may have been paused when it was held before.
        session.resume({ topic, partition });
        const beginning = beginnings.get(nameOf({ topic, partition }));
        if (beginning) session.seek(beginning);
      }
      // Once: after that the group has been further.
      beginnings.clear();
      if (come.length > 0) metrics.partitionsChanged(group, 'acquired', come.length);
      log.debug({ group, partitions: [...names] }, 'joined the group');
    },
    onLost() {
      if (held.size > 0 && !leaving) metrics.partitionsChanged(group, 'lost', held.size);
      for (const entry of [...held.values()]) forget(entry);
    },
    onRecords(partition, records: readonly BusRecord[]) {
      const entry = held.get(nameOf(partition));
      if (entry === undefined || leaving) return;
      // After a join Kafka gives again what waits here already.
      entry.waiting.add(records);
      const first = entry.waiting.first();
      if (first === undefined) return;
      if (entry.consumer === undefined) {
        entry.consumer = createConsumer(entry, first.offset);
        // So that a group that has finished nothing is known all the same, and how far it is behind.
        uncommitted.set(nameOf(partition), { ...partition, offset: first.offset });
        commitSoon();
      }
      if (!entry.paused && entry.waiting.isHigh()) {
        entry.paused = true;
        session.pause(partition);
      }
      feed(entry);
    },
  });
  await session.settled(10_000);

  const stop = async (): Promise<void> => {
    leaving = true;
    const finished = Promise.all([...held.values()].map(async ({ consumer }) => consumer?.finish()));
    const over = new AbortController();
    const grace = (): Promise<unknown> => Promise.race([finished, pause(options.stopGraceMs, over.signal)]);
    await grace();
    for (const entry of held.values())
      if (entry.consumer?.busy() === true) entry.lost.abort(new Error(`${group} stops`));
    await grace();
    // What is finished is committed before others begin behind it.
    await Promise.race([committing, pause(options.stopGraceMs, over.signal)]);
    over.abort();
    await session.stop();
    uncommitted.clear();
  };
  let stopping: Promise<void> | undefined;
  return {
    stop: () => (stopping ??= stop()),
    ready: () => session.ready(),
  };
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
