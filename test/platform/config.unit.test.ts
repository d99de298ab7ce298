import { expect, test } from 'vitest';
import { readConfig } from '../../platform/config/config.js';
import { StartupError } from '../../platform/errors.js';

test('an empty environment gives the embedded defaults', () => {
  const config = readConfig({});
  expect(config.database.url).toBeUndefined();
  expect(config.identity.jwksUrl).toBeUndefined();
  expect(config.ports).toMatchObject({
    gateway: 4000,
    bridge: 8080,
    query: 8081,
    actions: 8082,
    device: 8083,
    mqtt: 1883,
  });
});

test('an empty variable counts as not set', () => {
  expect(readConfig({ DATABASE_URL: '', GATEWAY_PORT: '' }).ports.gateway).toBe(4000);
});

test('names every setting at fault in one sentence', () => {
  const read = () => readConfig({ GATEWAY_PORT: '70000', DATABASE_URL: 'mysql://x', BUS_PARTITIONS: 'many' });
  expect(read).toThrow(StartupError);
  expect(read).toThrow(/^Bad configuration: .*DATABASE_URL must be a URL that starts with postgres:\/\/.*$/);
  expect(read).toThrow(/GATEWAY_PORT/);
  expect(read).toThrow(/BUS_PARTITIONS/);
});

test('KAFKA_BROKERS chooses Kafka, with its security', () => {
  expect(readConfig({}).kafka).toBeUndefined();
  expect(
    readConfig({
      KAFKA_BROKERS: 'one:9092, [::1]:9093',
      KAFKA_TLS: 'true',
      KAFKA_CA_FILE: '/ca.pem',
      KAFKA_SASL_MECHANISM: 'scram-sha-512',
      KAFKA_USERNAME: 'fleetgraph',
      KAFKA_PASSWORD: 'secret',
      KAFKA_REPLICATION_FACTOR: '3',
      KAFKA_MIN_INSYNC_REPLICAS: '2',
    }).kafka,
  ).toMatchObject({
    brokers: ['one:9092', '[::1]:9093'],
    tls: { caFile: '/ca.pem' },
    sasl: { mechanism: 'scram-sha-512', username: 'fleetgraph', password: 'secret' },
    replicationFactor: 3,
    minInsyncReplicas: 2,
  });
});

test.each([
  [{ KAFKA_BROKERS: 'kafka://one:9092' }, 'KAFKA_BROKERS must be a list of host:port'],
  [{ KAFKA_BROKERS: 'one' }, 'KAFKA_BROKERS must be a list of host:port'],
  [{ KAFKA_USERNAME: 'fleetgraph' }, 'KAFKA_SASL_MECHANISM needs KAFKA_USERNAME and KAFKA_PASSWORD'],
  [{ KAFKA_CA_FILE: '/ca.pem' }, 'KAFKA_CA_FILE needs KAFKA_TLS=true'],
  [{ KAFKA_MIN_INSYNC_REPLICAS: '2' }, 'KAFKA_MIN_INSYNC_REPLICAS must not exceed KAFKA_REPLICATION_FACTOR'],
  [{ MQTT_URL: 'http://broker' }, 'MQTT_URL must be a URL that starts with mqtt://'],
  [{ MQTT_PASSWORD: 'secret' }, 'MQTT_PASSWORD needs MQTT_USERNAME'],
  [{ MQTT_AUTH_SECRET: 'short' }, 'MQTT_AUTH_SECRET must have at least 16 characters'],
  [{ FLEETGRAPH_INSTANCE: 'a b' }, 'FLEETGRAPH_INSTANCE must be 1 to 64 letters'],
])('refuses %j and says why', (env, message) => {
  expect(() => readConfig(env)).toThrow(message);
});

test('an instance has a name that MQTT and Kafka take, from the host unless it is given', () => {
  expect(readConfig({}).instance).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
  expect(readConfig({ FLEETGRAPH_INSTANCE: 'bridge-2' }).instance).toBe('bridge-2');
});
