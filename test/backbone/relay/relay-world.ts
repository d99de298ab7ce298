/** Events to relay, and what a relay has put on the bus. */
import { Registry } from 'prom-client';
import { expect } from 'vitest';
import type { BusRecord, EventBus } from '../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { topicOptions, topics } from '../../../backbone/bus/topics.js';
import { decode, makeEvent } from '../../../backbone/events/envelope.js';
import { createRelayRole, type RelayOptions } from '../../../backbone/relay/relay.js';
import { append } from '../../../backbone/store/event-store.js';
import type { Sql } from '../../../platform/database/sql.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';

export interface RelayWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly bus: EventBus;
  /** Names that were published, in the order of the bus; those of one stream are in one partition. */
  readonly published: { readonly stream: string; readonly name: string; readonly partition: number }[];
  readonly metrics: Registry;
  /** Starts a relay; stopped with the world. */
  startRelay(options?: Partial<RelayOptions>): Promise<Role>;
  /** Resolves when the leader has looked for events twice from now on: the first look may have begun before. */
  relayHasLooked(): Promise<void>;
}

/** Appends an event of this name to a stream. */
export async function appendNamed(sql: Sql, stream: string, revision: number, name: string): Promise<void> {
  const event = makeEvent({
    type: 'io.fleetgraph.device.registered.v1',
    source: '/test',
    subject: stream,
    tenant: 'acme',
    data: { deviceId: stream, name, typeId: 'generic', labels: {} },
  });
  await append(sql, { tenant: 'acme', stream, expectedRevision: revision, events: [event] });
}

export async function createRelayWorld(): Promise<RelayWorld> {
  const database = await createDatabase();
  const metrics = new Registry();
  const bus = createPostgresBus({
    pool: database.pool,
    databaseUrl: database.url,
    log: silentLog,
    metrics: new Registry(),
  });
  await bus.ensureTopics(topicOptions({ partitions: 4, retentionMs: 3_600_000 }));
  const published: { stream: string; name: string; partition: number }[] = [];
  await bus.tail([topics.events], (records) => {
    published.push(...records.map(nameOf));
  });
  const relays: Role[] = [];
  return {
    database,
    bus,
    published,
    metrics,
    async startRelay(options = {}) {
      const relay = createRelayRole({
        log: silentLog,
        metrics: relays.length === 0 ? metrics : new Registry(),
        pool: database.pool,
        databaseUrl: database.url,
        bus,
        ...options,
      });
      relays.push(relay);
      await relay.start();
      return relay;
    },
    async relayHasLooked() {
      for (let look = 0; look < 2; look += 1) {
        const { rows } = await database.pool.query<{ now: string }>('SELECT clock_timestamp()::text AS now');
        await eventually(async () => {
          const { rowCount } = await database.pool.query(
            `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'fleetgraph-relay-events'
             AND query LIKE '%FROM events.events e%' AND query_start > $1::timestamptz`,
            [rows[0]?.now],
          );
          expect(rowCount).toBeGreaterThan(0);
        });
      }
    },
    async [Symbol.asyncDispose]() {
      for (const relay of relays) await relay.stop();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

export function nameOf(record: BusRecord): { stream: string; name: string; partition: number } {
  const event = decode(record);
  if (event.type !== 'io.fleetgraph.device.registered.v1') throw new Error(`unexpected ${event.type}`);
  return { stream: event.subject, name: event.data.name, partition: record.partition };
}
