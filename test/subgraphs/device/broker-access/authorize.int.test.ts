/** What who is connected may do. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bridgeRules, sharedGroup } from '../../../../backbone/devices/bridge-topics.js';
import {
  bridge,
  createBrokerAccessWorld,
  type BrokerAccessWorld,
  type RegisteredDevice,
} from './broker-access-world.js';

let world: BrokerAccessWorld;
beforeAll(async () => {
  world = await createBrokerAccessWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** A device that is connected: what EMQX sends of it with each question. */
async function connected(device: RegisteredDevice, tenant = 'acme') {
  const { client_attrs: attributes } = await world.login(device);
  const question = { clientid: device.clientId, username: device.username, ...attributes };
  return {
    id: device.clientId,
    question,
    async may(action: string, topic: string, other: Readonly<Record<string, unknown>> = {}) {
      const { result } = await world.authorize({ ...question, action, topic, ...other });
      return result === 'allow';
    },
    own: (channel: string) => `fleet/${tenant}/${device.clientId}/${channel}`,
  };
}

test('a device publishes up and subscribes down, on its own topics', async () => {
  const device = await connected(await world.register());
  for (const channel of ['telemetry', 'state', 'event', 'presence', 'command/ack']) {
    expect(await device.may('publish', device.own(channel))).toBe(true);
    expect(await device.may('subscribe', device.own(channel))).toBe(false);
  }
  for (const channel of ['command', 'desired']) {
    expect(await device.may('subscribe', device.own(channel))).toBe(true);
    expect(await device.may('publish', device.own(channel))).toBe(false);
  }
});

test('a device may nothing with topics of others, wildcards, shared subscriptions, or the broker', async () => {
  const device = await connected(await world.register());
  const other = await connected(await world.register());
  const foreign = await connected(await world.register('globex'), 'globex');
  for (const topic of [other.own('telemetry'), foreign.own('telemetry'), `fleet/globex/${device.id}/telemetry`])
    expect(await device.may('publish', topic)).toBe(false);
  for (const topic of [
    ...['#', '+/#', 'fleet/#', `fleet/+/${device.id}/command`, device.own('#'), device.own('+'), other.own('command')],
    ...[
      `$share/g/${device.own('command')}`,
      `${sharedGroup}/fleet/+/+/telemetry`,
      '$SYS/#',
      '$SYS/brokers/+/clients/#',
    ],
    `$SYS/brokers/+/clients/+/connected`,
  ])
    expect(await device.may('subscribe', topic)).toBe(false);
});

test('what the broker says of a device must fit what the registry says of it', async () => {
  const device = await connected(await world.register());
  const other = await connected(await world.register());
  const topic = device.own('telemetry');
  expect(await device.may('publish', `fleet/globex/${device.id}/telemetry`, { tenant: 'globex' })).toBe(false);
  expect(await device.may('publish', other.own('telemetry'), { device: other.id })).toBe(false);
  expect(await device.may('publish', topic, { credential: 'of-another' })).toBe(false);
  expect(await device.may('publish', topic, { tenant: undefined, device: undefined, credential: undefined })).toBe(
    false,
  );
  expect(await device.may('publish', topic)).toBe(true);
});

test('a connection from before a rotation, or of a decommissioned device, may do nothing any more', async () => {
  const registered = await world.register();
  const device = await connected(registered);
  const byCertificate = { credential: 'certificate' };
  expect(await device.may('publish', device.own('telemetry'))).toBe(true);
  await world.devices.data(`mutation ($id: ID!) { rotateDeviceCredentials(input: { id: $id }) { device { id } } }`, {
    id: device.id,
  });
  expect(await device.may('publish', device.own('telemetry'))).toBe(false);
  expect(await device.may('subscribe', device.own('command'))).toBe(false);
  // The password is not what a certificate stands on.
  expect(await device.may('publish', device.own('telemetry'), byCertificate)).toBe(true);
  await world.devices.data(`mutation ($id: ID!) { decommissionDevice(input: { id: $id }) { device { id } } }`, {
    id: device.id,
  });
  expect(await device.may('publish', device.own('telemetry'), byCertificate)).toBe(false);
});

test('the bridge may what its rules say, and no more', async () => {
  const may = async (action: string, topic: string): Promise<boolean> =>
    (await world.authorize({ clientid: 'b', username: bridge.username, action, topic })).result === 'allow';
  for (const rule of bridgeRules.filter(({ action }) => action === 'subscribe'))
    expect(await may('subscribe', rule.topic)).toBe(true);
  expect(await may('publish', 'fleet/acme/dev_1/command')).toBe(true);
  expect(await may('publish', 'fleet/acme/dev_1/desired')).toBe(true);
  for (const topic of [
    ...['fleet/acme/dev_1/telemetry', 'fleet/+/+/command', 'fleet//dev_1/command', 'fleet/a/b/c/command'],
    ...['$SYS/brokers', 'elsewhere'],
  ])
    expect(await may('publish', topic)).toBe(false);
  for (const topic of ['#', 'fleet/#', 'fleet/+/+/command', '$SYS/#'])
    expect(await may('subscribe', topic)).toBe(false);
});
