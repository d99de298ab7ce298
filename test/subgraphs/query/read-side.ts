/** The read side on a database and bus of its own: projector, query subgraph, and clients that use it as the gateway does. */
import { createClient, type Client } from 'graphql-ws';
import { Registry } from 'prom-client';
import { WebSocket } from 'ws';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { topicOptions, topics } from '../../../backbone/bus/topics.js';
import type { DomainEventType, EventData } from '../../../backbone/events/catalogue.js';
import { encode, makeEvent, type Event } from '../../../backbone/events/envelope.js';
import { sqlOf } from '../../../platform/database/sql.js';
import { readConfig, type Config } from '../../../platform/config/config.js';
import type { Scope } from '../../../platform/identity/identity.js';
import type { Role, ServiceRole } from '../../../platform/lifecycle/role.js';
import { append } from '../../../backbone/store/event-store.js';
import { createQueryRole } from '../../../subgraphs/query/query.js';
import { createProjectorRole } from '../../../workers/projector/projector.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';
import { createTestIssuer, type TestIssuer } from '../../world/identity.js';

export interface Answer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly extensions?: { readonly code?: string; readonly field?: string };
  }[];
}

/** A running subscription. */
export interface Subscriber<Data> {
  readonly received: readonly Data[];
  /** Errors inside payloads, and those that ended it. */
  readonly errors: readonly { readonly message?: string; readonly extensions?: { readonly code?: string } }[];
  readonly ended: () => boolean;
  stop(): void;
}

export interface ReadSide extends AsyncDisposable {
  readonly config: Config;
  readonly database: TestDatabase;
  readonly bus: EventBus;
  readonly projector: Role;
  readonly query: ServiceRole;
  readonly issuer: TestIssuer;
  readonly metrics: Registry;
  readonly url: string;
  ask<Data>(
    tenant: string,
    query: string,
    variables?: Readonly<Record<string, unknown>>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer<Data>>;
  subscribe<Data>(
    tenant: string,
    query: string,
    variables?: Readonly<Record<string, unknown>>,
    as?: { scopes?: readonly Scope[]; lifetimeSeconds?: number; by?: 'connection' | 'operation' },
  ): Promise<Subscriber<Data>>;
  /** Publishes readings as the bridge does. `at` in epoch milliseconds. */
  telemetry(
    tenant: string,
    deviceId: string,
    readings: Readonly<Record<string, number | boolean | string>>,
    at?: number,
  ): Promise<void>;
  presence(tenant: string, deviceId: string, online: boolean, session: number): Promise<void>;
  event<T extends DomainEventType>(tenant: string, type: T, data: EventData<T>): Promise<Event>;
  /** The first event of a stream in the event store, as a mutation leaves it: nothing has published it yet. */
  store<T extends DomainEventType>(tenant: string, stream: string, type: T, data: EventData<T>): Promise<Event>;
  /** Publishes an event that is in the event store, as the relay does. */
  relay(event: Event): Promise<Event>;
  /** Registers a device: its event is in the event store, and on the bus. */
  register(
    tenant: string,
    deviceId: string,
    labels?: Readonly<Record<string, string>>,
    typeId?: string,
  ): Promise<Event>;
}

export async function startReadSide(settings: Readonly<Record<string, string>> = {}): Promise<ReadSide> {
  const database = await createDatabase();
  const issuer = await createTestIssuer();
  const config = readConfig({ NODE_ENV: 'test', QUERY_PORT: '0', CONSISTENCY_TIMEOUT_MS: '1500', ...settings });
  const metrics = new Registry();
  const bus = createPostgresBus({ pool: database.pool, databaseUrl: database.url, log: silentLog, metrics });
  await bus.ensureTopics(topicOptions({ partitions: 3, retentionMs: 3_600_000 }));
  const shared = { config, log: silentLog, metrics, pool: database.pool, bus };
  const projector = createProjectorRole(shared);
  const query = createQueryRole({ ...shared, verifyToken: issuer.verifyToken });
  await query.start();
  await projector.start();
  const url = `http://127.0.0.1:${query.port()}/graphql`;
  const clients = new Set<Client>();

  const publish = async (topic: string, event: Event): Promise<Event> => {
    await bus.publish(topic, [encode(event)]);
    return event;
  };

  const side: ReadSide = {
    config,
    database,
    bus,
    projector,
    query,
    issuer,
    metrics,
    url,
    async ask<Data>(
      tenant: string,
      text: string,
      variables: Readonly<Record<string, unknown>> = {},
      headers: Readonly<Record<string, string>> = {},
    ): Promise<Answer<Data>> {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${await issuer.token(tenant)}`,
          ...headers,
        },
        body: JSON.stringify({ query: text, variables }),
      });
      return (await response.json()) as Answer<Data>;
    },
    async subscribe<Data>(
      tenant: string,
      text: string,
      variables: Readonly<Record<string, unknown>> = {},
      as: { scopes?: readonly Scope[]; lifetimeSeconds?: number; by?: 'connection' | 'operation' } = {},
    ): Promise<Subscriber<Data>> {
      const authorization = `Bearer ${await issuer.token(tenant, as.scopes, as.lifetimeSeconds)}`;
      const client = createClient({
        url: url.replace('http', 'ws'),
        webSocketImpl: WebSocket,
        retryAttempts: 0,
        ...(as.by === 'operation' ? {} : { connectionParams: { authorization } }),
      });
      clients.add(client);
      const received: Data[] = [];
      const errors: { message?: string; extensions?: { code?: string } }[] = [];
      let ended = false;
      const unsubscribe = client.subscribe<Data>(
        { query: text, variables, ...(as.by === 'operation' ? { extensions: { authorization } } : {}) },
        {
          next(result) {
            if (result.data) received.push(result.data);
            errors.push(...((result.errors ?? []) as typeof errors));
          },
          error(failure) {
            errors.push(...((Array.isArray(failure) ? failure : [failure]) as typeof errors));
            ended = true;
          },
          complete: () => (ended = true),
        },
      );
      return {
        received,
        errors,
        ended: () => ended,
        stop() {
          unsubscribe();
          clients.delete(client);
          void client.dispose();
        },
      };
    },
    async telemetry(tenant, deviceId, readings, at = Date.now()) {
      await publish(
        topics.telemetry,
        makeEvent({
          source: '/bridge',
          type: 'io.fleetgraph.telemetry.received.v1',
          subject: deviceId,
          tenant,
          data: { deviceId, readings: Object.entries(readings).map(([metric, value]) => ({ metric, at, value })) },
        }),
      );
    },
    async presence(tenant, deviceId, online, session) {
      await publish(
        topics.signals,
        makeEvent({
          source: '/bridge',
          type: 'io.fleetgraph.presence.changed.v1',
          subject: deviceId,
          tenant,
          data: { deviceId, online, session, at: session, reason: online ? 'connected' : 'disconnected' },
        }),
      );
    },
    event: (tenant, type, data) => publish(topics.events, domainEvent(tenant, type, data)),
    async store(tenant, stream, type, data) {
      const event = domainEvent(tenant, type, data);
      await append(sqlOf(database.pool), { tenant, stream, expectedRevision: 0, events: [event] });
      return event;
    },
    relay: (event) => publish(topics.events, event),
    async register(tenant, deviceId, labels = {}, typeId = 'boiler') {
      const data = { deviceId, name: deviceId, typeId, labels };
      return side.relay(await side.store(tenant, `device-${deviceId}`, 'io.fleetgraph.device.registered.v1', data));
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) void client.dispose();
      await projector.stop();
      await query.stop();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
  return side;
}

function domainEvent<T extends DomainEventType>(tenant: string, type: T, data: EventData<T>): Event<DomainEventType> {
  return makeEvent({
    source: '/test',
    type,
    subject:
      'deviceId' in data
        ? data.deviceId
        : 'typeId' in data
          ? data.typeId
          : 'ruleId' in data
            ? data.ruleId
            : 'webhookId' in data
              ? data.webhookId
              : 'jobId' in data
                ? data.jobId
                : data.requestId,
    tenant,
    actor: 'tester',
    data,
  }) as Event<DomainEventType>;
}
