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

test.each(['KAFKA_BROKERS', 'MQTT_URL'])('refuses %s, which this version would ignore', (name) => {
  expect(() => readConfig({ [name]: 'anything' })).toThrow(`${name} is set, but`);
});
