/**
 * The platform as in production, on this machine: each role a process of its own, Kafka as the bus, Mosquitto for the devices,
 * Traefik in front. HTTP and WebSocket enter by Traefik, MQTT by the broker, neither through the other.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { roleNames, type RoleName } from '../../platform/config/config.js';
import type { CliProcess } from './cli.js';
import { runDeployedCli } from './deployed-cli.js';
import { createDatabase, type TestDatabase } from './database.js';
import { eventually, within } from './eventually.js';
import { freePort } from './free-port.js';
import { createTestIssuer } from './identity.js';
import { hasKafka } from './kafka/kafka.js';
import { runBrokers } from './kafka/run-brokers.js';
import { hasMosquitto } from './mosquitto/mosquitto-binary.js';
import { startMosquitto } from './mosquitto/mosquitto.js';
import { createPlatformClients, topic, type PlatformClients, type RegisteredDevice } from './platform-clients.js';
import { hasTraefik } from './traefik/traefik-binary.js';
import { startTraefik } from './traefik/traefik.js';

export interface Production extends PlatformClients, AsyncDisposable {
  readonly database: TestDatabase;
  /** SIGTERM to a role; resolves to its exit code when it has drained. */
  stop(role: RoleName): Promise<number | NodeJS.Signals>;
  /** SIGKILL to a role; resolves when it is gone. */
  kill(role: RoleName): Promise<void>;
  /** Starts a role again, on the ports that it had; resolves when it is ready. */
  start(role: RoleName): Promise<void>;
}

/** Whether everything that it takes is there. */
export function hasProduction(): boolean {
  return [hasKafka(), hasMosquitto(), hasTraefik()].every(Boolean);
}

/** A device on a broker that tells nobody who connects: it says so itself, by messages and by its will. */
async function connectDevice(url: string, device: RegisteredDevice, options: IClientOptions): Promise<MqttClient> {
  const presence = topic(device, 'presence');
  // Mosquitto reads its list of devices a moment after it was told to.
  const client = await eventually(() =>
    connectAsync(
      url,
      {
        protocolVersion: 5,
        reconnectPeriod: 0,
        ...device.credentials,
        will: { topic: presence, payload: Buffer.from('{"online": false}'), qos: 1, retain: false },
        ...options,
      },
      false,
    ),
  );
  await client.publishAsync(presence, '{"online": true}', { qos: 1 });
  const end = client.endAsync.bind(client);
  client.endAsync = async (force?: unknown) => {
    if (force !== true) await client.publishAsync(presence, '{"online": false}', { qos: 1 });
    await end(force === true);
  };
  return client;
}

/** Limits of the edge that a test's own load must not meet. */
const roomy = {
  'requestsPerSecond := 100 ': 'requestsPerSecond := 10000 ',
  'requestsAtOnce := 200 ': 'requestsAtOnce := 10000 ',
};

export async function startProduction(): Promise<Production> {
  const closers: (() => PromiseLike<unknown>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close();
  };
  try {
    const database = await createDatabase();
    closers.push(() => database[Symbol.asyncDispose]());
    const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-production-'));
    closers.push(() => rm(directory, { recursive: true, force: true }));
    const issuer = await createTestIssuer();
    const keys = createServer((_request, response) => response.end(JSON.stringify(issuer.issuer.jwks)));
    await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => keys.close(resolve)));
    const brokers = await runBrokers();
    const mosquitto = await startMosquitto();
    closers.push(() => mosquitto[Symbol.asyncDispose]());

    const port = Object.fromEntries(
      await Promise.all(
        [...roleNames, ...roleNames.map((role) => `${role}-operations`)].map(async (name) => [name, await freePort()]),
      ),
    ) as Readonly<Record<string, number>>;
    const graphqlUrl = (role: RoleName): string => `http://127.0.0.1:${port[role] ?? 0}/graphql`;
    const environment = (role: RoleName): Record<string, string> => ({
      NODE_ENV: 'production',
      LOG_LEVEL: 'warn',
      FLEETGRAPH_INSTANCE: role,
      FLEETGRAPH_DATA_DIR: join(directory, role),
      DATABASE_URL: database.url,
      DATABASE_POOL_SIZE: '4',
      JWKS_URL: `http://127.0.0.1:${(keys.address() as AddressInfo).port}/`,
      JWT_ISSUER: 'https://issuer.test',
      JWT_AUDIENCE: 'fleetgraph',
      KAFKA_BROKERS: brokers.join(','),
      KAFKA_PREFIX: prefix,
      MQTT_URL: mosquitto.url,
      MQTT_USERNAME: mosquitto.bridge.username,
      MQTT_PASSWORD: mosquitto.bridge.password,
      MQTT_CONNECTIONS: '1',
      ...Object.fromEntries(roleNames.map((name) => [`${name.toUpperCase()}_PORT`, String(port[name])])),
      OPERATIONS_PORT: String(port[`${role}-operations`]),
      DEVICE_URL: graphqlUrl('device'),
      ACTIONS_URL: graphqlUrl('actions'),
      QUERY_URL: graphqlUrl('query'),
    });
    const prefix = `production-${randomUUID().slice(0, 8)}.`;
    const processes = new Map<RoleName, CliProcess>();
    const launch = (role: RoleName): void => {
      processes.set(role, runDeployedCli(['start', '--roles', role], environment(role)));
    };
    const isReady = (role: RoleName): Promise<void> =>
      eventually(async () => {
        const running = processes.get(role);
        if (running?.child.exitCode !== null) throw new Error(`${role} ended: ${running?.output() ?? ''}`);
        const response = await fetch(`http://127.0.0.1:${port[`${role}-operations`] ?? 0}/readyz`);
        if (!response.ok) throw new Error(`${role}: ${await response.text()}`);
      }, 90_000);
    closers.push(async () => {
      for (const { child } of processes.values()) child.kill('SIGKILL');
      await Promise.all([...processes.values()].map(({ exited }) => exited));
    });
    // In no order: each waits for what it needs.
    for (const role of [...roleNames].reverse()) launch(role);
    for (const role of roleNames) await isReady(role);
    const traefik = await startTraefik({
      gateways: [`http://127.0.0.1:${port['gateway'] ?? 0}`],
      bridges: [`http://127.0.0.1:${port['bridge'] ?? 0}`],
      replace: roomy,
    });
    closers.push(() => traefik[Symbol.asyncDispose]());
    const clients = createPlatformClients({
      gateway: traefik.url,
      bridge: traefik.url,
      mqtt: mosquitto.url,
      token: (...of) => issuer.token(...of),
      async onRegistered({ tenant, id, credentials }) {
        mosquitto.allow([{ tenant, deviceId: id }], credentials.password);
      },
      connectDevice: (device, options) => connectDevice(mosquitto.url, device, options),
    });
    closers.push(() => clients[Symbol.asyncDispose]());
    const end = async (role: RoleName, signal: NodeJS.Signals): Promise<number | NodeJS.Signals> => {
      const running = processes.get(role);
      if (!running) throw new Error(`${role} does not run.`);
      running.child.kill(signal);
      return within(running.exited, 60_000, `the end of ${role}`);
    };
    return {
      ...clients,
      database,
      stop: (role) => end(role, 'SIGTERM'),
      async kill(role) {
        await end(role, 'SIGKILL');
      },
      async start(role) {
        launch(role);
        await isReady(role);
      },
      [Symbol.asyncDispose]: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
