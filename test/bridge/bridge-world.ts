/** The real bridge on the real bus, with devices that a test makes up, and MQTT.js as the device. */
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { Registry } from 'prom-client';
import type { DeviceDirectory, DeviceProfile } from '../../backbone/devices/device-directory.js';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../backbone/bus/postgres/postgres-bus.js';
import { topicOptions, topics } from '../../backbone/bus/topics.js';
import { decode, encode, makeEvent, type Event } from '../../backbone/events/envelope.js';
import type { EventType } from '../../backbone/events/catalogue.js';
import { createBridgeRole } from '../../bridge/bridge.js';
import { sqlOf } from '../../platform/database/sql.js';
import { createDirectory } from '../../subgraphs/device/credentials/directory.js';
import { readConfig } from '../../platform/config/config.js';
import type { Scope } from '../../platform/identity/identity.js';
import type { ServiceRole } from '../../platform/lifecycle/role.js';
import { createDatabase, silentLog, type TestDatabase } from '../world/database.js';
import { createTestIssuer } from '../world/identity.js';

/** A device whose user name is its id and whose password is `secret`. */
export type TestDevice = DeviceProfile;

export interface BridgeWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly bus: EventBus;
  readonly devices: Map<string, TestDevice>;
  /** Set to make the directory reject, as when its database is away. */
  directoryFailure: Error | undefined;
  /** Set to make the directory wait for it, as when its database is stuck. */
  directoryHold: Promise<void> | undefined;
  /** Everything that was put on the bus, decoded, in the order of each device. */
  events(): Promise<Event[]>;
  eventsOf<T extends EventType>(type: T): Promise<Extract<Event, { type: T }>[]>;
  readonly bridge: ServiceRole & { mqttPort(): number | undefined };
  /** Port of the embedded broker. */
  mqttPort(): number;
  readonly metrics: Registry;
  /** Stops the bridge and starts another on the same database, with other settings if there are any. */
  restart(changed?: Readonly<Record<string, string>>): Promise<void>;
  device(id: string, more?: Partial<TestDevice>): TestDevice;
  /** Resolves when the device is let in. `prepare` gets the client before anything can arrive. */
  connect(device: TestDevice, options?: IClientOptions, prepare?: (client: MqttClient) => void): Promise<MqttClient>;
  /** What `fetch` gives for a path of the HTTP side. */
  http(path: string, init?: RequestInit): Promise<Response>;
  token(tenant: string, scopes?: readonly Scope[]): Promise<string>;
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** Puts an event on `fleetgraph.events`, as the relay would. */
  relay(...events: Event[]): Promise<void>;
}

export async function createBridgeWorld(settings: Readonly<Record<string, string>> = {}): Promise<BridgeWorld> {
  const database = await createDatabase();
  const bus = createPostgresBus({
    pool: database.pool,
    databaseUrl: database.url,
    log: silentLog,
    metrics: new Registry(),
    leaseTtlMs: 1_000,
  });
  const configWith = (changed: Readonly<Record<string, string>>) =>
    readConfig({
      NODE_ENV: 'test',
      BRIDGE_PORT: '0',
      MQTT_PORT: '0',
      BUS_PARTITIONS: '2',
      ...settings,
      ...changed,
    });
  await bus.ensureTopics(topicOptions(configWith({}).bus));
  const issuer = await createTestIssuer();
  const devices = new Map<string, TestDevice>();
  const clients: MqttClient[] = [];
  const start = async (changed: Readonly<Record<string, string>> = {}) => {
    const metrics = new Registry();
    const bridge = createBridgeRole({
      config: configWith(changed),
      log: silentLog,
      metrics,
      pool: database.pool,
      databaseUrl: database.url,
      bus,
      verifyToken: issuer.verifyToken,
      directory,
    });
    await bridge.start();
    return { bridge, metrics };
  };
  const directory: DeviceDirectory = {
    async authenticate({ clientId, username, password }) {
      await world.directoryHold;
      if (world.directoryFailure) throw world.directoryFailure;
      const device = devices.get(username);
      return device?.active === true && clientId === username && password === 'secret' ? device : undefined;
    },
    async find(tenant, id) {
      await world.directoryHold;
      if (world.directoryFailure) throw world.directoryFailure;
      const device = devices.get(id);
      return device?.tenant === tenant ? device : undefined;
    },
    async findByClientId(clientId) {
      if (world.directoryFailure) throw world.directoryFailure;
      return devices.get(clientId);
    },
    async twin(tenant, deviceId) {
      if (world.directoryFailure) throw world.directoryFailure;
      return createDirectory(sqlOf(database.pool)).twin(tenant, deviceId);
    },
  };
  let running: Awaited<ReturnType<typeof start>>;
  const world: BridgeWorld = {
    database,
    bus,
    devices,
    directoryFailure: undefined,
    directoryHold: undefined,
    get bridge() {
      return running.bridge;
    },
    mqttPort: () => running.bridge.mqttPort() ?? 0,
    get metrics() {
      return running.metrics;
    },
    async events() {
      const { rows } = await database.pool.query<{ headers: Record<string, string>; value: string }>(
        'SELECT headers, value FROM bus.records WHERE topic = ANY($1) ORDER BY topic, partition, "offset"',
        [[topics.telemetry, topics.signals]],
      );
      return rows.map(decode);
    },
    async eventsOf<T extends EventType>(type: T) {
      return (await world.events()).filter((event): event is Extract<Event, { type: T }> => event.type === type);
    },
    async restart(changed) {
      await running.bridge.stop();
      running = await start(changed);
    },
    device(id, more = {}) {
      const device = {
        tenant: 'acme',
        deviceId: id,
        typeId: 'generic',
        active: true,
        decoder: 'json',
        metrics: [],
        ...more,
      };
      devices.set(id, device);
      return device;
    },
    async connect(device, options = {}, prepare = () => undefined) {
      const client = connect(`mqtt://127.0.0.1:${world.mqttPort()}`, {
        clientId: device.deviceId,
        username: device.deviceId,
        password: 'secret',
        reconnectPeriod: 0,
        ...options,
      });
      clients.push(client);
      prepare(client);
      await new Promise<void>((resolve, reject) => {
        client.once('connect', () => resolve());
        client.once('error', reject);
        client.once('close', () => reject(new Error('the connection was closed')));
      });
      // A socket that the bridge cuts is an error to MQTT.js; the tests look at what follows from it.
      client.on('error', () => undefined);
      return client;
    },
    http: (path, init) => fetch(`http://127.0.0.1:${running.bridge.port()}${path}`, init),
    token: (tenant, scopes) => issuer.token(tenant, scopes),
    async metric(name, labels = {}) {
      const { values } = (await running.metrics.getSingleMetric(name)?.get()) ?? { values: [] };
      return values
        .filter((value) => Object.entries(labels).every(([label, wanted]) => value.labels[label] === wanted))
        .reduce((sum, { value }) => sum + value, 0);
    },
    relay: (...events) => bus.publish(topics.events, events.map(encode)),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.end(true);
      await running.bridge.stop();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
  running = await start();
  return world;
}

export function topicOf(device: TestDevice, channel: string): string {
  return `fleet/${device.tenant}/${device.deviceId}/${channel}`;
}

/** A command for the device, as the actions role asks for it. */
export function requested(device: TestDevice, commandId: string, timeToLiveMs = 60_000): Event {
  return makeEvent({
    type: 'io.fleetgraph.command.requested.v1',
    source: '/actions',
    subject: device.deviceId,
    tenant: device.tenant,
    data: {
      commandId,
      deviceId: device.deviceId,
      name: 'setpoint',
      parameters: { celsius: 21 },
      expiresAt: new Date(Date.now() + timeToLiveMs).toISOString(),
    },
  });
}

/** Writes a device of the registry with this twin, as the device role would. */
export async function storeTwin(
  { pool }: Pick<TestDatabase, 'pool'>,
  { tenant, deviceId, typeId }: TestDevice,
  twin: { readonly revision: number; readonly desired: unknown; readonly reported: unknown },
): Promise<void> {
  await pool.query(
    `INSERT INTO device.device_types (tenant, id, name, metrics, revision, created_at, updated_at)
     VALUES ($1, $2, $2, '[]', 1, now(), now()) ON CONFLICT DO NOTHING`,
    [tenant, typeId],
  );
  await pool.query(
    `INSERT INTO device.devices (id, tenant, name, type_id, revision, desired, desired_version, reported, created_at, updated_at)
     VALUES ($1, $2, $1, $3, $4, $5, 1, $6, now(), now())
     ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, desired = excluded.desired, reported = excluded.reported`,
    [deviceId, tenant, typeId, twin.revision, JSON.stringify(twin.desired), JSON.stringify(twin.reported)],
  );
}

/** What tells that a half of the twin has changed; the bridge reads what it is by then. */
export function twinChanged({ tenant, deviceId }: TestDevice, half: 'desired' | 'reported'): Event {
  const common = { source: '/device', subject: deviceId, tenant };
  return half === 'desired'
    ? makeEvent({
        ...common,
        type: 'io.fleetgraph.device.desired-state-set.v1',
        data: { deviceId, desired: {}, version: 1 },
      })
    : makeEvent({
        ...common,
        type: 'io.fleetgraph.device.reported-state-changed.v1',
        data: { deviceId, reported: {}, version: 1 },
      });
}
