/** Who may connect to the broker. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bridge, createBrokerAccessWorld, type BrokerAccessWorld } from './broker-access-world.js';

let world: BrokerAccessWorld;
beforeAll(async () => {
  world = await createBrokerAccessWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const deny = { result: 'deny' };

test('a device gets in with its password, and the broker learns what it is', async () => {
  const device = await world.register();
  const answer = await world.login(device);
  expect(answer).toMatchObject({
    result: 'allow',
    is_superuser: false,
    client_attrs: { tenant: 'acme', device: device.clientId },
  });
  // What it may do is asked each time: rules would outlive a rotation of its password.
  expect(answer.acl).toBeUndefined();
});

test('a device is authenticated anew within a day, and not every device at once', async () => {
  const device = await world.register();
  const seconds = Date.now() / 1_000;
  const ends = await Promise.all(Array.from({ length: 5 }, async () => (await world.login(device)).expire_at ?? 0));
  for (const end of ends) {
    expect(end).toBeGreaterThan(seconds + 11 * 3_600);
    expect(end).toBeLessThanOrEqual(seconds + 24 * 3_600 + 60);
    expect(Number.isInteger(end)).toBe(true);
  }
  expect(new Set(ends).size).toBeGreaterThan(1);
});

test('nobody gets in with a wrong password, none, or what belongs to another', async () => {
  const [device, other] = [await world.register(), await world.register('globex')];
  expect(await world.login(device, { password: 'wrong' })).toEqual(deny);
  expect(await world.login(device, { password: other.password })).toEqual(deny);
  for (const password of ['', null, undefined, 'undefined'])
    expect(await world.login(device, { password })).toEqual(deny);
  for (const username of ['', null, other.username]) expect(await world.login(device, { username })).toEqual(deny);
  expect(await world.login(device, { clientid: other.clientId })).toEqual(deny);
  expect(await world.login({ clientId: 'nobody', username: 'nobody', password: 'x' })).toEqual(deny);
  expect(await world.login(device)).toMatchObject({ result: 'allow' });
});

test('a rotated password opens, the one before no longer; a decommissioned device stays out', async () => {
  const device = await world.register();
  const before = await world.login(device);
  const { rotateDeviceCredentials } = await world.devices.data<{
    rotateDeviceCredentials: { credentials: typeof device };
  }>(
    `mutation ($id: ID!) { rotateDeviceCredentials(input: { id: $id }) {
       credentials { clientId username password } } }`,
    { id: device.clientId },
  );
  expect(await world.login(device)).toEqual(deny);
  const after = await world.login(rotateDeviceCredentials.credentials);
  expect(after.result).toBe('allow');
  expect(after.client_attrs?.['credential']).not.toBe(before.client_attrs?.['credential']);
  await world.devices.data(`mutation ($id: ID!) { decommissionDevice(input: { id: $id }) { device { id } } }`, {
    id: device.clientId,
  });
  expect(await world.login(rotateDeviceCredentials.credentials)).toEqual(deny);
});

test('a certificate opens without a password where the broker has verified it, to the device of its name alone', async () => {
  const [device, other] = [await world.register(), await world.register()];
  const certificate = { zone: 'mtls', cert_common_name: device.clientId, password: null };
  expect(await world.login(device, { ...certificate, username: null })).toMatchObject({
    result: 'allow',
    client_attrs: { tenant: 'acme', device: device.clientId, credential: 'certificate' },
  });
  expect(await world.login(device, certificate)).toMatchObject({ result: 'allow' });
  expect(await world.login(other, certificate)).toEqual(deny);
  expect(await world.login(device, { ...certificate, username: other.username })).toEqual(deny);
  // Asked for, it is not replaced by a password.
  expect(await world.login(device, { zone: 'mtls', cert_common_name: '' })).toEqual(deny);
});

test('a common name from a listener that verifies nothing is worth nothing', async () => {
  const device = await world.register();
  for (const zone of ['default', '', null, '${zone}', 'MTLS', 'undefined'])
    expect(await world.login(device, { zone, cert_common_name: device.clientId, password: null })).toEqual(deny);
});

test('the bridge gets in with its own account under any client id, and may what it needs', async () => {
  const login = { ...bridge, clientid: 'fleetgraph-bridge-a-0', peerhost: '192.0.2.9' };
  const answer = await world.authenticate(login);
  expect(answer).toMatchObject({ result: 'allow', is_superuser: false });
  expect(answer.expire_at).toBeUndefined();
  const may = answer.acl?.map(({ action, topic }) => `${action} ${topic}`) ?? [];
  expect(may).toContain('subscribe eq $share/fleetgraph/fleet/+/+/telemetry');
  expect(may).toContain('subscribe eq $share/fleetgraph/$SYS/brokers/+/clients/+/disconnected');
  expect(may).toContain('publish fleet/+/+/command');
  expect(may.filter((rule) => rule.includes('#'))).toEqual([]);
  expect(await world.authenticate({ ...login, password: 'wrong' })).toEqual(deny);
  expect(await world.authenticate({ ...login, password: null })).toEqual(deny);
});

test('no device can take the name of the bridge, by certificate neither', async () => {
  expect(
    await world.authenticate({
      clientid: bridge.username,
      username: bridge.username,
      password: null,
      zone: 'mtls',
      cert_common_name: bridge.username,
      peerhost: '192.0.2.9',
    }),
  ).toEqual(deny);
});
