/** A bus with events on it, and consumers of them. */
import { Registry } from 'prom-client';
import type { EventBus, OutgoingRecord } from '../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { createConsumer, type ConsumerOptions } from '../../../backbone/consumer/consumer.js';
import { encode, makeEvent, type Event } from '../../../backbone/events/envelope.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';

export const topic = 'test.events';

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
  readonly metrics: Registry;
  publish(...records: OutgoingRecord[]): Promise<void>;
  /** Starts a consumer of `topic`; stopped with the world. Retries come at once. */
  consume(options: Partial<ConsumerOptions> & Pick<ConsumerOptions, 'handle'>): Promise<Role>;
  deadLetters(): Promise<DeadLetter[]>;
  /** Records that the group has not committed. */
  lag(group?: string): Promise<number>;
}

/** A record of one device in a topic of one partition. */
export function named(name: string): OutgoingRecord {
  return encode(
    makeEvent({
      type: 'io.fleetgraph.device.registered.v1',
      source: '/test',
      subject: 'device',
      tenant: 'acme',
      data: { deviceId: 'device', name, typeId: 'generic', labels: {} },
    }),
  );
}

export function nameOf(event: Event): string {
  return event.type === 'io.fleetgraph.device.registered.v1' ? event.data.name : event.type;
}

export async function createConsumerWorld(): Promise<ConsumerWorld> {
  const database = await createDatabase();
  const metrics = new Registry();
  const bus = createPostgresBus({
    ...{ pool: database.pool, databaseUrl: database.url, log: silentLog, metrics: new Registry(), leaseTtlMs: 1_000 },
  });
  await bus.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
  const consumers: Role[] = [];
  return {
    database,
    bus,
    metrics,
    publish: (...records) => bus.publish(topic, records),
    async consume(options) {
      const consumer = createConsumer({
        ...{ name: 'consumer', topics: [topic], bus, pool: database.pool, log: silentLog, metrics },
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
    async [Symbol.asyncDispose]() {
      for (const consumer of consumers) await consumer.stop();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
