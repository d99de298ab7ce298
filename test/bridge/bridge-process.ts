/**
 * A bridge in a process of its own: `bridge-process.ts <database url> <port of MQTT>`. Any device of `acme` with the password
 * `secret` may connect. Prints its port once it listens.
 */
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createPostgresBus } from '../../backbone/bus/postgres/postgres-bus.js';
import type { DeviceProfile } from '../../backbone/devices/device-directory.js';
import { createBridgeRole } from '../../bridge/bridge.js';
import { readConfig } from '../../platform/config/config.js';
import { sqlOf } from '../../platform/database/sql.js';
import { createDirectory } from '../../subgraphs/device/credentials/directory.js';
import { createPool } from '../../platform/database/pool.js';

const [databaseUrl = '', mqttPort = '0'] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const metrics = new Registry();
const pool = createPool({ url: databaseUrl, size: 5, applicationName: 'bridge-process', log });
const bus = createPostgresBus({ pool, databaseUrl, log, metrics });
const profileOf = (deviceId: string): DeviceProfile => ({
  tenant: 'acme',
  deviceId,
  typeId: 'generic',
  active: true,
  decoder: 'json',
  metrics: [],
});
const bridge = createBridgeRole({
  config: readConfig({ ...process.env, NODE_ENV: 'test', BRIDGE_PORT: '0', MQTT_PORT: mqttPort, BUS_PARTITIONS: '2' }),
  log,
  metrics,
  pool,
  databaseUrl,
  bus,
  verifyToken: () => Promise.reject(new Error('no tokens here')),
  directory: {
    authenticate: async ({ clientId, password }) => (password === 'secret' ? profileOf(clientId) : undefined),
    find: async (_tenant, deviceId) => profileOf(deviceId),
    findByClientId: async (clientId) => profileOf(clientId),
    twin: (tenant, deviceId) => createDirectory(sqlOf(pool)).twin(tenant, deviceId),
  },
});
await bridge.start();
process.once('SIGTERM', () => void bridge.stop().then(() => process.exit(0)));
process.stdout.write(`${bridge.mqttPort() ?? 0}\n`);
