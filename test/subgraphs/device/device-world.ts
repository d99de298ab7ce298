/** The device role as it runs: its own database, the real bus on it, HTTP with verified tokens. */
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { topicOptions, topics } from '../../../backbone/bus/topics.js';
import type { DeviceDirectory } from '../../../backbone/devices/device-directory.js';
import { encode, makeEvent, type NewEvent } from '../../../backbone/events/envelope.js';
import { readConfig } from '../../../platform/config/config.js';
import { createPool } from '../../../platform/database/pool.js';
import { createPrisma } from '../../../platform/database/prisma.js';
import type { Scope } from '../../../platform/identity/identity.js';
import type { ServiceRole } from '../../../platform/lifecycle/role.js';
import { createMetrics } from '../../../platform/observability/metrics.js';
import { createDeviceRole } from '../../../subgraphs/device/device.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { createTestIssuer, type TestIssuer } from '../../world/identity.js';

export interface Reply<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly (string | number)[];
    readonly extensions?: { readonly code?: string; readonly field?: string };
  }[];
}

export interface As {
  readonly tenant?: string;
  readonly scopes?: readonly Scope[];
  readonly headers?: Readonly<Record<string, string>>;
}

export type Variables = Readonly<Record<string, unknown>>;

export interface StoredEvent {
  readonly id: string;
  readonly type: string;
  readonly tenant: string;
  readonly revision: number;
  readonly source: string;
  readonly subject: string;
  readonly time: Date;
  readonly data: Readonly<Record<string, unknown>>;
  readonly actor: string | null;
  readonly traceparent: string | null;
  readonly correlationId: string | null;
  readonly causationId: string | null;
}

export interface DeviceWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly bus: EventBus;
  readonly issuer: TestIssuer;
  readonly directory: DeviceDirectory;
  readonly role: ServiceRole;
  readonly url: string;
  graphql<Data>(query: string, variables?: Variables, as?: As): Promise<Reply<Data>>;
  /** The data of an operation that must not have errors. */
  data<Data>(query: string, variables?: Variables, as?: As): Promise<Data>;
  /** Code and field of the only error of an operation that must fail. */
  refusal(query: string, variables?: Variables, as?: As): Promise<{ readonly code?: string; readonly field?: string }>;
  /** Publishes what a device says, as the bridge does. @returns the id of the signal. */
  signal(event: Pick<NewEvent, 'type' | 'data' | 'subject'> & Partial<NewEvent>): Promise<string>;
  /** Resolves when both consumers of the role have handled every signal that was published. */
  heard(): Promise<void>;
  /** The events of a stream, in order. */
  history(stream: string): Promise<readonly StoredEvent[]>;
  /** How many rows there are of each part of the write model, in all tenants. */
  census(): Promise<Readonly<Record<string, number>>>;
  /** How many signals of a device no consumer could handle. */
  deadLetters(deviceId: string): Promise<number>;
}

/** @param settings beside those that every world has. */
export async function createDeviceWorld(settings: Readonly<Record<string, string>> = {}): Promise<DeviceWorld> {
  const database = await createDatabase();
  const issuer = await createTestIssuer();
  const metrics = createMetrics({ processMetrics: false });
  const bus = createPostgresBus({ pool: database.pool, databaseUrl: database.url, log: silentLog, metrics });
  await bus.ensureTopics(topicOptions({ partitions: 4, retentionMs: 3_600_000 }));
  const pool = createPool({ url: database.url, size: 8, applicationName: 'device', log: silentLog });
  const prisma = createPrisma({ url: database.url, size: 8, applicationName: 'device-prisma' });
  const config = readConfig({ NODE_ENV: 'test', DEVICE_PORT: '0', ...settings });
  const { verifyToken } = issuer;
  const role = createDeviceRole({ config, log: silentLog, metrics, pool, prisma, bus, verifyToken });

  const world: DeviceWorld = {
    database,
    bus,
    issuer,
    directory: role.directory,
    role,
    get url() {
      return `http://127.0.0.1:${role.port()}/graphql`;
    },
    async graphql<Data>(query: string, variables: Variables = {}, as: As = {}) {
      const response = await fetch(world.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${await issuer.token(as.tenant ?? 'acme', as.scopes)}`,
          ...as.headers,
        },
        body: JSON.stringify({ query, variables }),
      });
      return (await response.json()) as Reply<Data>;
    },
    async data<Data>(query: string, variables?: Variables, as?: As) {
      const reply = await world.graphql<Data>(query, variables, as);
      if (reply.errors || reply.data === undefined || reply.data === null)
        throw new Error(`unexpected errors: ${JSON.stringify(reply.errors)}`);
      return reply.data;
    },
    async refusal(query, variables, as) {
      const reply = await world.graphql(query, variables, as);
      const [error, ...others] = reply.errors ?? [];
      if (error === undefined || others.length > 0) throw new Error(`not one error: ${JSON.stringify(reply)}`);
      const { code, field } = error.extensions ?? {};
      return { ...(code === undefined ? {} : { code }), ...(field === undefined ? {} : { field }) };
    },
    async signal(event) {
      const made = makeEvent({ source: '/bridge', tenant: 'acme', ...event });
      await bus.publish(topics.signals, [encode(made)]);
      return made.id;
    },
    async heard() {
      for (const group of ['device-presence', 'device-reports'])
        await eventually(async () => {
          const lag = (await bus.lag(group)).get(topics.signals);
          if (lag !== 0) throw new Error(`${group} is ${lag} signals behind`);
        });
    },
    async history(stream) {
      const { rows } = await database.pool.query<StoredEvent>(
        `SELECT id, type, tenant, revision, source, subject, time, data, actor, traceparent,
                correlation_id AS "correlationId", causation_id AS "causationId"
         FROM events.events WHERE stream = $1 ORDER BY revision`,
        [stream],
      );
      return rows;
    },
    async census() {
      const { rows } = await database.pool.query<Record<string, number>>(
        `SELECT (SELECT count(*) FROM device.devices)::int AS devices,
                (SELECT count(*) FROM device.device_types)::int AS types,
                (SELECT count(*) FROM device.device_labels)::int AS labels,
                (SELECT count(*) FROM device.credentials)::int AS credentials,
                (SELECT count(*) FROM device.idempotency_keys)::int AS keys,
                (SELECT count(*) FROM events.events)::int AS events`,
      );
      return rows[0] ?? {};
    },
    async deadLetters(deviceId) {
      const { rows } = await database.pool.query('SELECT 1 FROM dead_letters.dead_letters WHERE key = $1', [deviceId]);
      return rows.length;
    },
    async [Symbol.asyncDispose]() {
      await role.stop();
      await bus.close();
      await prisma.$disconnect();
      await pool.end();
      await database[Symbol.asyncDispose]();
    },
  };
  try {
    await role.start();
  } catch (error) {
    await world[Symbol.asyncDispose]();
    throw error;
  }
  return world;
}
