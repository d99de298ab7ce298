/** Bridges in processes of their own on a real Mosquitto, with devices of both versions of MQTT. */
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { Registry } from 'prom-client';
import { createPostgresBus } from '../../../../backbone/bus/postgres/postgres-bus.js';
import type { EventBus } from '../../../../backbone/bus/event-bus.js';
import { topicOptions, topics } from '../../../../backbone/bus/topics.js';
import { encode, type Event } from '../../../../backbone/events/envelope.js';
import { startScript, type Child } from '../../../world/child-process.js';
import { createDatabase, silentLog, type TestDatabase } from '../../../world/database.js';
import { startMosquitto, type Mosquitto } from '../../../world/mosquitto/mosquitto.js';

export interface ExternalWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly broker: Mosquitto;
  readonly bus: EventBus;
  /** Starts a bridge of this name. Killed with the world. */
  startBridge(instance: string, settings?: Readonly<Record<string, string>>): Promise<Child>;
  /** A device that comes back by itself, with what was not acknowledged. */
  connect(deviceId: string, options?: IClientOptions): Promise<MqttClient>;
  /** Values of the readings that are stored of a device, in the order of the bus. */
  stored(deviceId: string): Promise<unknown[]>;
  /** Types of the signals of a device on the bus, in order. */
  signals(deviceId: string): Promise<string[]>;
  /** Puts an event on `fleetgraph.events`, as the relay would. */
  relay(...events: Event[]): Promise<void>;
}

export async function createExternalWorld(
  deviceIds: readonly string[],
  brokerOptions: Parameters<typeof startMosquitto>[0] = {},
): Promise<ExternalWorld> {
  const database = await createDatabase();
  const bus = createPostgresBus({
    pool: database.pool,
    databaseUrl: database.url,
    log: silentLog,
    metrics: new Registry(),
  });
  await bus.ensureTopics(topicOptions({ partitions: 2, retentionMs: 3_600_000 }));
  const broker = await startMosquitto(brokerOptions);
  broker.allow(
    deviceIds.map((deviceId) => ({ tenant: 'acme', deviceId })),
    'secret',
  );
  const children: Child[] = [];
  const clients: MqttClient[] = [];
  return {
    database,
    broker,
    bus,
    async startBridge(instance, settings = {}) {
      const child = await startScript(new URL('../../bridge-process.ts', import.meta.url), [database.url, '0'], {
        MQTT_URL: broker.url,
        MQTT_USERNAME: broker.bridge.username,
        MQTT_PASSWORD: broker.bridge.password,
        FLEETGRAPH_INSTANCE: instance,
        // Round robin between connections would break the order of a device; EMQX hashes by client id instead.
        MQTT_CONNECTIONS: '1',
        ...settings,
      });
      children.push(child);
      return child;
    },
    async connect(deviceId, options = {}) {
      const client = await connectAsync(broker.url, {
        clientId: deviceId,
        username: deviceId,
        password: 'secret',
        reconnectPeriod: 50,
        ...options,
      });
      client.on('error', () => undefined);
      clients.push(client);
      return client;
    },
    async stored(deviceId) {
      const { rows } = await database.pool.query<{ value: string }>(
        'SELECT value FROM bus.records WHERE topic = $1 AND key = $2 ORDER BY "offset"',
        [topics.telemetry, deviceId],
      );
      return rows.map(({ value }) => (JSON.parse(value) as { readings: { value: unknown }[] }).readings[0]?.value);
    },
    async signals(deviceId) {
      const { rows } = await database.pool.query<{ type: string }>(
        `SELECT headers->>'ce_type' AS type FROM bus.records WHERE topic = $1 AND key = $2 ORDER BY "offset"`,
        [topics.signals, deviceId],
      );
      return rows.map(({ type }) => type);
    },
    relay: (...events) => bus.publish(topics.events, events.map(encode)),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.end(true);
      await Promise.all(children.map((child) => child.kill()));
      await broker[Symbol.asyncDispose]();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
