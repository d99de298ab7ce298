/** The actions role as it runs: its own database, the real bus on it, HTTP with verified tokens. */
import { randomUUID } from 'node:crypto';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { topicOptions, topics } from '../../../backbone/bus/topics.js';
import type { CommandDefinition } from '../../../backbone/devices/command-schema.js';
import { encode, makeEvent, type NewEvent } from '../../../backbone/events/envelope.js';
import { readConfig } from '../../../platform/config/config.js';
import { createPool } from '../../../platform/database/pool.js';
import { createPrisma } from '../../../platform/database/prisma.js';
import type { Scope } from '../../../platform/identity/identity.js';
import type { ServiceRole } from '../../../platform/lifecycle/role.js';
import { createMetrics, type Registry } from '../../../platform/observability/metrics.js';
import { createActionsRole } from '../../../subgraphs/actions/actions.js';
import type { CommandFact } from '../../../subgraphs/actions/command/command-fact.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';
import { createTestIssuer, type TestIssuer } from '../../world/identity.js';

export interface Reply<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly extensions?: { readonly code?: string; readonly field?: string };
  }[];
}

export interface As {
  readonly tenant?: string;
  readonly scopes?: readonly Scope[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** One running instance of the role. */
export interface ActionsInstance {
  readonly role: ServiceRole;
  readonly metrics: Registry;
  graphql<Data>(query: string, variables?: Readonly<Record<string, unknown>>, as?: As): Promise<Reply<Data>>;
  /** The data of an operation that must not have errors. */
  data<Data>(query: string, variables?: Readonly<Record<string, unknown>>, as?: As): Promise<Data>;
  stop(): Promise<void>;
}

export interface ActionsWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly bus: EventBus;
  readonly issuer: TestIssuer;
  /** Starts an instance with connections, bus and metrics of its own, as in a process of its own. */
  startInstance(settings?: Readonly<Record<string, string>>): Promise<ActionsInstance>;
  /** Publishes on `fleetgraph.events` that the device was registered. @returns its id. */
  register(
    tenant?: string,
    deviceId?: string,
    described?: { typeId?: string; labels?: Record<string, string> },
  ): Promise<string>;
  /** Publishes on `fleetgraph.events` that the device type was defined, with these commands. */
  defineType(typeId: string, commands: readonly CommandDefinition[], tenant?: string): Promise<void>;
  decommission(deviceId: string, tenant?: string): Promise<void>;
  /** Publishes what a device says, as the bridge does. @returns the id of the signal. */
  signal(event: Pick<NewEvent, 'type' | 'data'> & Partial<NewEvent>): Promise<string>;
  /** The events of the command's stream, in order. */
  history(commandId: string): Promise<readonly StoredCommandEvent[]>;
}

export type StoredCommandEvent = CommandFact & {
  readonly id: string;
  readonly revision: number;
  readonly subject: string;
  readonly source: string;
  readonly actor: string | null;
  readonly traceparent: string | null;
  readonly correlationId: string | null;
  readonly causationId: string | null;
};

export async function createActionsWorld(): Promise<ActionsWorld> {
  const database = await createDatabase();
  const issuer = await createTestIssuer();
  const instances: ActionsInstance[] = [];
  const openBus = () =>
    createPostgresBus({
      pool: database.pool,
      databaseUrl: database.url,
      log: silentLog,
      metrics: createMetrics({ processMetrics: false }),
    });
  const bus = openBus();
  await bus.ensureTopics(topicOptions({ partitions: 4, retentionMs: 3_600_000 }));

  const publish = async (topic: string, event: NewEvent): Promise<string> => {
    const made = makeEvent(event);
    await bus.publish(topic, [encode(made)]);
    return made.id;
  };

  return {
    database,
    bus,
    issuer,
    async startInstance(settings = {}) {
      const config = readConfig({ NODE_ENV: 'test', ACTIONS_PORT: '0', ...settings });
      const metrics = createMetrics({ processMetrics: false });
      const pool = createPool({ url: database.url, size: 8, applicationName: 'actions', log: silentLog });
      const prisma = createPrisma({ url: database.url, size: 8, applicationName: 'actions-prisma' });
      const ownBus = openBus();
      const { verifyToken } = issuer;
      const role = createActionsRole({ config, log: silentLog, metrics, pool, prisma, bus: ownBus, verifyToken });
      let stopped = false;
      const instance: ActionsInstance = {
        role,
        metrics,
        async graphql<Data>(query: string, variables: Readonly<Record<string, unknown>> = {}, as: As = {}) {
          const response = await fetch(`http://127.0.0.1:${role.port()}/graphql`, {
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
        async data<Data>(query: string, variables?: Readonly<Record<string, unknown>>, as?: As) {
          const reply = await instance.graphql<Data>(query, variables, as);
          if (reply.errors || reply.data === undefined || reply.data === null)
            throw new Error(`unexpected errors: ${JSON.stringify(reply.errors)}`);
          return reply.data;
        },
        async stop() {
          if (stopped) return;
          stopped = true;
          await role.stop();
          await ownBus.close();
          await prisma.$disconnect();
          await pool.end();
        },
      };
      instances.push(instance);
      try {
        await role.start();
      } catch (error) {
        await instance.stop();
        throw error;
      }
      return instance;
    },
    async register(tenant = 'acme', deviceId = randomUUID(), { typeId = 'generic', labels = {} } = {}) {
      await publish(topics.events, {
        source: '/device',
        type: 'io.fleetgraph.device.registered.v1',
        subject: deviceId,
        tenant,
        data: { deviceId, name: 'Boiler', typeId, labels },
      });
      return deviceId;
    },
    async defineType(typeId, commands, tenant = 'acme') {
      await publish(topics.events, {
        source: '/device',
        type: 'io.fleetgraph.device-type.defined.v1',
        subject: typeId,
        tenant,
        data: { typeId, name: 'Boiler', metrics: [], decoder: 'json', commands: commands as never },
      });
    },
    async decommission(deviceId, tenant = 'acme') {
      await publish(topics.events, {
        source: '/device',
        type: 'io.fleetgraph.device.decommissioned.v1',
        subject: deviceId,
        tenant,
        data: { deviceId },
      });
    },
    signal: (event) =>
      publish(topics.signals, {
        source: '/bridge',
        tenant: 'acme',
        subject: (event.data as { deviceId: string }).deviceId,
        ...event,
      }),
    async history(commandId) {
      const { rows } = await database.pool.query<StoredCommandEvent>(
        `SELECT id, type, tenant, revision, subject, source, to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS time, data,
                actor, traceparent, correlation_id AS "correlationId", causation_id AS "causationId"
         FROM events.events WHERE stream = $1 ORDER BY revision`,
        [`command-${commandId}`],
      );
      return rows;
    },
    async [Symbol.asyncDispose]() {
      for (const instance of instances) await instance.stop();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
