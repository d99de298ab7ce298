/**
 * Keeps a member in a consumer group of Kafka, whatever happens to kafkajs' own consumer: that one stops for good on some
 * errors, restarts after it was told to stop on others (tulios/kafkajs#558, #1593), and commits what it no longer owns
 * when a rebalance comes between a commit and its repetition (#1046). So each consumer lives until its first crash and
 * is followed by a fresh one, and offsets are committed once, under the generation in which the partition was held.
 *
 * kafkajs says when a join is over, but not when it begins. It asks the assigner for its protocol at the start of each
 * join, on every way there: that is where we learn it. From then until the join is over nothing is committed.
 */
import { PartitionAssigners, type Consumer, type EachBatchPayload, type PartitionAssigner } from 'kafkajs';
import { messageOf } from '../../../platform/errors.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import type { BusRecord, TopicPartition } from '../event-bus.js';
import type { Position } from '../partition-consumer.js';
import type { CreateKafka } from './kafka-client.js';
import { toRecord } from './record-codec.js';

export interface GroupSession {
  pause(partition: TopicPartition): void;
  resume(partition: TopicPartition): void;
  /** Fetches from here on. For partitions held now. */
  seek(position: Position): void;
  /**
   * Commits offsets of partitions held now, once.
   * @throws when a join is on, or the coordinator refuses. Whether to try again is known after the next join.
   */
  commit(positions: readonly Position[]): Promise<void>;
  /** Resolves after the first join, or after the first failure to join; at most after `timeoutMs`. */
  settled(timeoutMs: number): Promise<void>;
  /** Rejects while it is not in the group. */
  ready(): Promise<void>;
  /** Leaves the group. Nothing is given after. */
  stop(): Promise<void>;
}

export interface GroupSessionOptions {
  readonly createKafka: CreateKafka;
  /** In front of the names of the group and the topics in Kafka. Everywhere here they are without. */
  readonly prefix: string;
  readonly group: string;
  readonly topics: readonly string[];
  readonly log: Logger;
  /** A member that is silent for this long is taken for dead, milliseconds. */
  readonly sessionTimeoutMs: number;
  /** How soon a partition that is added is found, milliseconds. */
  readonly metadataMaxAgeMs: number;
  /** After each join: what is held now. Called before anything of it is fetched. */
  readonly onAssigned: (partitions: readonly TopicPartition[]) => void;
  /** Membership is lost: nothing is held any more. */
  readonly onLost: () => void;
  /** Records of one partition, behind each other; after a join, again from the committed offset. */
  readonly onRecords: (partition: TopicPartition, records: readonly BusRecord[]) => void;
}

/** Short, because a commit waits behind the fetch of its connection, and a resumed partition for the next fetch. */
const fetchWaitMs = 100;

export function openGroupSession(options: GroupSessionOptions): GroupSession {
  const { prefix, group, topics, log, sessionTimeoutMs } = options;
  const stopped = new AbortController();
  const outages = createOutageLog({ log, event: 'the consumer lost its group and joins again' });
  let consumer: Consumer | undefined;
  let fetched: EachBatchPayload | undefined;
  let joining = true;
  let memberId: string | undefined;
  let aliveAtMs = performance.now();
  let failure: unknown = new Error('it has not joined yet');
  let settle: () => void = () => undefined;
  const firstSettled = new Promise<void>((resolve) => (settle = resolve));

  const lose = (): void => {
    joining = true;
    fetched = undefined;
    memberId = undefined;
    options.onLost();
  };

  /** Runs one kafkajs consumer until it crashes or is no longer surely a member. Rejects with the reason. */
  const runOnce = async (): Promise<void> => {
    const over = new AbortController();
    const ended = new Promise<never>((_resolve, reject) => {
      over.signal.addEventListener('abort', () => reject(asError(over.signal.reason)), { once: true });
    });
    ended.catch(() => undefined);
    const end = (reason: unknown): void => over.abort(reason);
    if (stopped.signal.aborted) return;
    const stop = (): void => end(new Error('stopped'));
    stopped.signal.addEventListener('abort', stop, { once: true });

    const current = options.createKafka().consumer({
      groupId: prefix + group,
      allowAutoTopicCreation: false,
      partitionAssigners: [announcing(PartitionAssigners.roundRobin, () => (joining = true))],
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: sessionTimeoutMs,
      heartbeatInterval: Math.min(1_000, sessionTimeoutMs / 6),
      maxWaitTimeInMs: fetchWaitMs,
      metadataMaxAge: options.metadataMaxAgeMs,
      retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5, restartOnFailure: async () => false },
    });
    const { CRASH, GROUP_JOIN, HEARTBEAT } = current.events;
    current.on(CRASH, ({ payload }) => end(payload.error));
    current.on(HEARTBEAT, () => (aliveAtMs = performance.now()));
    current.on(GROUP_JOIN, ({ payload }) => {
      if (consumer !== current || stopped.signal.aborted) return;
      aliveAtMs = performance.now();
      // Another member id: the group was without us in between, and others had our partitions.
      if (memberId !== undefined && memberId !== payload.memberId) lose();
      memberId = payload.memberId;
      joining = false;
      failure = undefined;
      outages.succeeded(group);
      options.onAssigned(
        Object.entries(payload.memberAssignment).flatMap(([name, partitions]) =>
          partitions.map((partition) => ({ topic: name.slice(prefix.length), partition })),
        ),
      );
      settle();
    });
    // By our own clock, because a coordinator that can't be reached can't tell us that it has given us up.
    const watch = setInterval(() => {
      if (!joining && performance.now() - aliveAtMs > sessionTimeoutMs)
        end(new Error(`no heartbeat was answered for ${sessionTimeoutMs} ms`));
    }, 250);
    consumer = current;
    const working = (async () => {
      await current.connect();
      // Where nothing is committed. At the live end it is decided above, with offsets.
      await current.subscribe({ topics: topics.map((topic) => prefix + topic), fromBeginning: true });
      await current.run({
        autoCommit: false,
        eachBatch: async (payload) => {
          if (consumer !== current || stopped.signal.aborted) return;
          fetched = payload;
          const { partition, messages } = payload.batch;
          const topic = payload.batch.topic.slice(prefix.length);
          options.onRecords(
            { topic, partition },
            messages.map((message) => toRecord(topic, partition, message)),
          );
        },
      });
    })();
    working.catch(end);
    try {
      await ended;
    } finally {
      clearInterval(watch);
      stopped.signal.removeEventListener('abort', stop);
      consumer = undefined;
      lose();
      // Not while it still connects: kafkajs would go on when that is done.
      await working.catch(() => undefined);
      await current.disconnect().catch((error: unknown) => log.debug({ group, err: error }, 'could not leave well'));
    }
  };

  const running = (async () => {
    for (let attempt = 0; !stopped.signal.aborted; attempt += 1) {
      const startedAtMs = performance.now();
      try {
        await runOnce();
      } catch (error) {
        if (stopped.signal.aborted) break;
        if (performance.now() - startedAtMs > 30_000) attempt = 0;
        outages.failed(group, error, { group });
        failure = error;
        settle();
        await pause(50 + backoffMs(attempt, 200, 5_000), stopped.signal);
      }
    }
  })();

  return {
    pause: ({ topic, partition }) => consumer?.pause([{ topic: prefix + topic, partitions: [partition] }]),
    resume: ({ topic, partition }) => consumer?.resume([{ topic: prefix + topic, partitions: [partition] }]),
    seek: ({ topic, partition, offset }) =>
      consumer?.seek({ topic: prefix + topic, partition, offset: String(offset) }),
    async commit(positions) {
      // Checked in the same turn in which kafkajs takes the generation for its request.
      if (joining || fetched === undefined) throw new Error('the group is rebalancing');
      // Not Consumer.commitOffsets, which repeats a refused commit under whatever generation there is by then.
      await fetched.commitOffsetsIfNecessary({
        topics: [...new Set(positions.map(({ topic }) => topic))].map((topic) => ({
          topic: prefix + topic,
          partitions: positions
            .filter((position) => position.topic === topic)
            .map(({ partition, offset }) => ({ partition, offset: String(offset) })),
        })),
      });
    },
    async settled(timeoutMs) {
      const over = new AbortController();
      await Promise.race([firstSettled, pause(timeoutMs, over.signal)]);
      over.abort();
    },
    async ready() {
      if (failure !== undefined) throw new Error(`${group} can't consume: ${messageOf(failure)}`, { cause: failure });
    },
    async stop() {
      stopped.abort();
      settle();
      await running;
    },
  };
}

/** The assigner, saying at the start of each join that there is one. */
function announcing(assigner: PartitionAssigner, onJoin: () => void): PartitionAssigner {
  return (config) => {
    const inner = assigner(config);
    return {
      ...inner,
      protocol(subscription) {
        onJoin();
        return inner.protocol(subscription);
      },
    };
  };
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(messageOf(reason));
}
