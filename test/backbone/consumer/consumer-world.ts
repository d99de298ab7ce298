/** A bus with events on it, and consumers of them. */
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { Registry } from 'prom-client';
import type { EventBus, OutgoingRecord } from '../../../backbone/bus/event-bus.js';
import { createConsumer, type ConsumerOptions } from '../../../backbone/consumer/consumer.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';
import { hasKafka } from '../../world/kafka/kafka.js';
import { runBrokers } from '../../world/kafka/run-brokers.js';
import { topic } from './named-events.js';
import { openBus, type BusAddress } from './open-bus.js';

/** What the suites run on. */
export const backbones: readonly ('PostgreSQL' | 'Kafka')[] = hasKafka() ? ['PostgreSQL', 'Kafka'] : ['PostgreSQL'];

export interface DeadLetter {
  readonly consumer: string;
  readonly offset: bigint;
  readonly key: string;
  readonly value: string;
  readonly type: string | null;
  readonly tenant: string | null;
  readonly cause: string;
  readonly attempts: number;
}

export interface ConsumerWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly bus: EventBus;
  /** Where another process finds the bus. */
  readonly address: BusAddress;
  readonly metrics: Registry;
  publish(...records: OutgoingRecord[]): Promise<void>;
  /** Starts a consumer of `topic`; stopped with the world. Retries come at once. */
  consume(options: Partial<ConsumerOptions> & Pick<ConsumerOptions, 'handle'>): Promise<Role>;
  deadLetters(): Promise<DeadLetter[]>;
  /** Records that the group has not committed. */
  lag(group?: string): Promise<number>;
  /** Lets the group, which has no members, begin anew. */
  rewind(): Promise<void>;
}

export async function createConsumerWorld(backbone: (typeof backbones)[number]): Promise<ConsumerWorld> {
  const database = await createDatabase();
  const metrics = new Registry();
  const brokers = backbone === 'Kafka' ? await runBrokers() : [];
  const address = { databaseUrl: database.url, brokers, prefix: `test-${randomUUID().slice(0, 8)}.` };
  const bus = openBus(address, database.pool);
  await bus.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
  const consumers: Role[] = [];
  return {
    database,
    bus,
    address,
    metrics,
    publish: (...records) => bus.publish(topic, records),
    async consume(options) {
      const consumer = createConsumer({
        name: 'consumer',
        topics: [topic],
        bus,
        pool: database.pool,
        log: silentLog,
        metrics,
        retryDelaysMs: [0, 1, 1],
        ...options,
      });
      consumers.push(consumer);
      await consumer.start();
      return consumer;
    },
    async deadLetters() {
      const { rows } = await database.pool.query<DeadLetter>(
        `SELECT consumer, "offset", key, value, type, tenant, cause, attempts FROM dead_letters.dead_letters ORDER BY "offset"`,
      );
      return rows;
    },
    lag: async (group = 'consumer') => (await bus.lag(group)).get(topic) ?? 0,
    async rewind() {
      await database.pool.query('UPDATE bus.leases SET committed = 0');
      if (brokers.length === 0) return;
      const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
      await admin.connect();
      await admin.deleteGroups([`${address.prefix}consumer`]);
      await admin.disconnect();
    },
    async [Symbol.asyncDispose]() {
      for (const consumer of consumers) await consumer.stop();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
