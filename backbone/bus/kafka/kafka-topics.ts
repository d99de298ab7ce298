/** Topics, offsets and lag: what is asked of the cluster itself. */
import { AssignerProtocol, type Admin } from 'kafkajs';
import type { KafkaConfig } from '../../../platform/config/config.js';
import { FleetgraphError, messageOf } from '../../../platform/errors.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { GroupLag } from '../bus-metrics.js';
import type { TopicOptions } from '../event-bus.js';
import type { Position } from '../partition-consumer.js';
import type { CreateKafka } from './kafka-client.js';
import { isLeadershipError, protocolErrorOf } from './kafka-errors.js';

/** How topics are made. Names have the prefix in Kafka; everywhere else they are without. */
export type TopicSettings = Pick<KafkaConfig, 'prefix' | 'replicationFactor' | 'minInsyncReplicas'>;

export interface KafkaTopics {
  /** Makes missing topics. Those that are there keep their partitions and settings. */
  create(topics: readonly TopicOptions[]): Promise<void>;
  /** @throws FleetgraphError INTERNAL_SERVER_ERROR when the topic was never made, UNAVAILABLE when nobody answers. */
  partitionCount(topic: string): Promise<number>;
  /** Offset of the next record of each partition. */
  ends(topics: readonly string[]): Promise<readonly Position[]>;
  /** Records that the groups have not committed, for each topic that they have committed or consume. */
  lag(groups: readonly string[]): Promise<readonly GroupLag[]>;
  /** Ends of the partitions of which the group has committed nothing. */
  uncommittedEnds(group: string, topics: readonly string[]): Promise<readonly Position[]>;
  /** Rejects when no broker answers within `timeoutMs`. */
  ping(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

/** A flush is at most 2 MiB of UTF-16 units, three bytes each in the worst case. */
const maxMessageBytes = 8 * 2 ** 20;

/** A new leader is chosen within a few seconds; who asks at the start of a role has until then. */
const leadershipWaitMs = 15_000;

/** A topic that another process has just made is not known to every broker yet. */
const knownWithinMs = 15_000;

/** @returns undefined if the broker that was asked knows no such topic */
async function countPartitions(admin: Admin, topic: string): Promise<number | undefined> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const count = topics.find(({ name }) => name === topic)?.partitions.length ?? 0;
    return count > 0 ? count : undefined;
  } catch (error) {
    if (/^(UNKNOWN_TOPIC_OR_PARTITION|INVALID_TOPIC_EXCEPTION)$/.test(protocolErrorOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** Resolves when the topic can be used. @throws FleetgraphError UNAVAILABLE if that takes too long */
async function untilKnown(admin: Admin, topic: string): Promise<void> {
  const deadlineMs = performance.now() + knownWithinMs;
  for (let attempt = 0; (await countPartitions(admin, topic)) === undefined; attempt += 1) {
    if (performance.now() > deadlineMs)
      throw new FleetgraphError('UNAVAILABLE', `The topic ${topic} was made and is not known yet. Try again later.`);
    await pause(50 + backoffMs(attempt, 50, 1_000));
  }
}

export function createKafkaTopics(createKafka: CreateKafka, settings: TopicSettings): KafkaTopics {
  const { prefix } = settings;
  let connecting: Promise<Admin> | undefined;

  const forget = (): void => {
    void connecting?.then((admin) => admin.disconnect()).catch(() => undefined);
    connecting = undefined;
  };

  /** Runs `work` on a connected client. One that has failed is made anew: kafkajs doesn't find back from every failure. */
  const ask = async <T>(work: (admin: Admin) => Promise<T>): Promise<T> => {
    connecting ??= (async () => {
      const admin = createKafka().admin();
      await admin.connect();
      return admin;
    })();
    const current = connecting;
    try {
      return await work(await current);
    } catch (error) {
      // Nor does it ask who leads now.
      const answered =
        error instanceof FleetgraphError || (protocolErrorOf(error) !== undefined && !isLeadershipError(error));
      if (!answered && connecting === current) forget();
      throw error;
    }
  };

  /** Waits out a change of leaders, as after a topic was made or a broker went. */
  const askLeaders = async <T>(work: (admin: Admin) => Promise<T>, waitMs: number): Promise<T> => {
    const deadlineMs = performance.now() + waitMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await ask(work);
      } catch (error) {
        if (!isLeadershipError(error) || performance.now() > deadlineMs) throw error;
        await pause(50 + backoffMs(attempt, 50, 1_000));
      }
    }
  };

  const available = async <T>(work: (admin: Admin) => Promise<T>, waitMs = leadershipWaitMs): Promise<T> => {
    try {
      return await askLeaders(work, waitMs);
    } catch (error) {
      if (error instanceof FleetgraphError) throw error;
      throw new FleetgraphError('UNAVAILABLE', `Kafka can't be asked: ${messageOf(error)}. Try again later.`, {
        cause: error,
      });
    }
  };

  /** Topics that the members of a group consume, by what they told the coordinator when they joined. */
  const consumedTopics = async (admin: Admin, group: string): Promise<readonly string[]> => {
    const { groups } = await admin.describeGroups([prefix + group]);
    return groups
      .flatMap(({ members }) => members)
      .flatMap(({ memberMetadata }) => AssignerProtocol.MemberMetadata.decode(memberMetadata)?.topics ?? [])
      .map((topic) => topic.slice(prefix.length));
  };

  const lagOf = async (admin: Admin, group: string): Promise<readonly GroupLag[]> => {
    const committed = await admin.fetchOffsets({ groupId: prefix + group });
    const names = new Set([
      ...committed.map(({ topic }) => topic.slice(prefix.length)),
      ...(await consumedTopics(admin, group)),
    ]);
    return Promise.all(
      [...names].map(async (topic) => {
        const own = committed.find((entry) => entry.topic === prefix + topic)?.partitions ?? [];
        let lag = 0;
        for (const { partition, high, low } of await admin.fetchTopicOffsets(prefix + topic)) {
          const offset = own.find((entry) => entry.partition === partition)?.offset ?? '-1';
          // What was past its retention before the group had it is not behind it any more.
          const from = Math.max(Number(offset), Number(low));
          lag += Math.max(0, Number(high) - from);
        }
        return { group, topic, lag };
      }),
    );
  };

  return {
    create: (topics) =>
      available(async (admin) => {
        const there = new Set(await admin.listTopics());
        const missing = topics.filter(({ name }) => !there.has(prefix + name));
        for (const { name, partitions, retentionMs } of missing) {
          await admin.createTopics({
            waitForLeaders: true,
            timeout: 10_000,
            topics: [
              {
                topic: prefix + name,
                numPartitions: partitions,
                replicationFactor: settings.replicationFactor,
                configEntries: [
                  { name: 'retention.ms', value: String(retentionMs) },
                  { name: 'min.insync.replicas', value: String(settings.minInsyncReplicas) },
                  { name: 'max.message.bytes', value: String(maxMessageBytes) },
                  { name: 'cleanup.policy', value: 'delete' },
                ],
              },
            ],
          });
        }
        for (const { name } of topics) await untilKnown(admin, prefix + name);
      }),
    partitionCount: (topic) =>
      available(async (admin) => {
        const count = await countPartitions(admin, prefix + topic);
        if (count !== undefined) return count;
        throw new FleetgraphError(
          'INTERNAL_SERVER_ERROR',
          `The topic ${topic} does not exist. Make it with ensureTopics first.`,
        );
      }),
    ends: (topics) => available((admin) => endsOf(admin, prefix, topics)),
    // A scrape of metrics doesn't wait: the next one is soon.
    lag: (groups) =>
      available(async (admin) => (await Promise.all(groups.map((group) => lagOf(admin, group)))).flat(), 0),
    uncommittedEnds: (group, topics) =>
      available(async (admin) => {
        const committed = await admin.fetchOffsets({
          groupId: prefix + group,
          topics: topics.map((topic) => prefix + topic),
        });
        const isCommitted = ({ topic, partition }: Position): boolean =>
          committed
            .filter((entry) => entry.topic === prefix + topic)
            .flatMap(({ partitions }) => partitions)
            .some((entry) => entry.partition === partition && entry.offset !== '-1');
        return (await endsOf(admin, prefix, topics)).filter((end) => !isCommitted(end));
      }),
    async ping(timeoutMs) {
      const over = new AbortController();
      try {
        await Promise.race([
          ask((admin) => admin.describeCluster()),
          pause(timeoutMs, over.signal).then(() => {
            if (!over.signal.aborted) throw new Error(`no broker answered within ${timeoutMs} ms`);
          }),
        ]);
      } finally {
        over.abort();
      }
    },
    async close() {
      const open = connecting;
      connecting = undefined;
      await open?.then((admin) => admin.disconnect()).catch(() => undefined);
    },
  };
}

async function endsOf(admin: Admin, prefix: string, topics: readonly string[]): Promise<readonly Position[]> {
  const ends = await Promise.all(
    topics.map(async (topic) =>
      (await admin.fetchTopicOffsets(prefix + topic)).map(({ partition, high }) => ({
        topic,
        partition,
        offset: BigInt(high),
      })),
    ),
  );
  return ends.flat();
}
