import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { credentialsIn, mutate, register, type CredentialsView } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

async function newDevice(input = {}): Promise<CredentialsView> {
  return credentialsIn(await register(world, input));
}

const authenticate = (credentials: CredentialsView) => world.directory.authenticate(credentials);

describe('authentication of a device', () => {
  it('gives the profile that the bridge works with', async () => {
    const metrics = [{ name: 'level', kind: 'NUMBER', unit: 'm' }];
    await mutate(world, 'defineDeviceType', { id: 'tank', name: 'Tank', metrics, decoder: 'senml' });
    const credentials = await newDevice({ typeId: 'tank' });
    expect(await authenticate(credentials)).toEqual({
      tenant: 'acme',
      deviceId: credentials.clientId,
      typeId: 'tank',
      active: true,
      decoder: 'senml',
      metrics,
    });
  });

  it('sees a new definition of the type and a new type at once', async () => {
    await mutate(world, 'defineDeviceType', { id: 'before', name: 'T' });
    const credentials = await newDevice({ typeId: 'before' });
    await mutate(world, 'defineDeviceType', { id: 'before', name: 'T', decoder: 'cbor' });
    expect(await authenticate(credentials)).toMatchObject({ decoder: 'cbor' });
    await mutate(world, 'updateDevice', { id: credentials.clientId, typeId: 'generic' });
    expect(await authenticate(credentials)).toMatchObject({ typeId: 'generic', decoder: 'json' });
  });

  it('refuses anything but the whole of the credentials', async () => {
    const credentials = await newDevice();
    const other = await newDevice();
    const { password } = credentials;
    const wrong: readonly Partial<CredentialsView>[] = [
      { password: '' },
      { password: `${password}x` },
      { password: password.slice(0, -1) },
      { password: password.toUpperCase() },
      { password: `${password}\u0000` },
      { password: '\ud800' },
      { password: other.password },
      { username: other.username },
      { clientId: other.clientId },
      { username: '' },
      { username: credentials.username.toUpperCase() },
      { username: `${credentials.username}\u0000` },
      { clientId: `${credentials.clientId}\ud800` },
      { clientId: "' OR true --", username: "' OR true --" },
    ];
    for (const part of wrong)
      expect(await authenticate({ ...credentials, ...part }), JSON.stringify(part)).toBe(undefined);
    expect(await authenticate(credentials)).toBeDefined();
  });

  it('refuses the hash itself as a password', async () => {
    const credentials = await newDevice();
    const { rows } = await world.database.pool.query<{ password_hash: string }>(
      'SELECT password_hash FROM device.credentials WHERE client_id = $1',
      [credentials.clientId],
    );
    for (const { password_hash: hash } of rows) {
      expect(await authenticate({ ...credentials, password: hash })).toBeUndefined();
      expect(await authenticate({ ...credentials, password: hash.split(':')[2] ?? '' })).toBeUndefined();
    }
    expect(rows).toHaveLength(1);
  });

  it('ends with the former password when it is rotated, as often as it is', async () => {
    const first = await newDevice();
    const id = first.clientId;
    const second = credentialsIn(await mutate(world, 'rotateDeviceCredentials', { id }));
    const third = credentialsIn(await mutate(world, 'rotateDeviceCredentials', { id }));
    expect(third).toMatchObject({ clientId: id, username: id });
    expect(await authenticate(first)).toBeUndefined();
    expect(await authenticate(second)).toBeUndefined();
    expect(await authenticate(third)).toBeDefined();
    expect((await world.history(`device-${id}`)).map(({ type, data }) => [type, data]).slice(1)).toEqual([
      ['io.fleetgraph.device.credentials-rotated.v1', { deviceId: id, clientId: id }],
      ['io.fleetgraph.device.credentials-rotated.v1', { deviceId: id, clientId: id }],
    ]);
  });

  it('ends when the device is decommissioned, though its profile can still be found', async () => {
    const credentials = await newDevice();
    const id = credentials.clientId;
    expect(await world.directory.findByClientId(id)).toMatchObject({ tenant: 'acme', deviceId: id, active: true });
    await mutate(world, 'decommissionDevice', { id });
    expect(await authenticate(credentials)).toBeUndefined();
    expect(await world.directory.find('acme', id)).toMatchObject({ deviceId: id, active: false });
    // Who hears of the end of its connection after that must know whose it was.
    expect(await world.directory.findByClientId(id)).toMatchObject({ tenant: 'acme', deviceId: id, active: false });
    for (const absent of ['dev_absent', '', 'a\u0000'])
      expect(await world.directory.findByClientId(absent)).toBeUndefined();
  });
});

describe('finding a device', () => {
  it('gives nothing for one that is not there, whatever the id', async () => {
    for (const id of ['dev_absent', '', 'a\u0000', '\udc00', "' OR true --", 'x'.repeat(10_000)])
      expect(await world.directory.find('acme', id)).toBeUndefined();
    expect(await world.directory.find('no\u0000', 'dev')).toBeUndefined();
  });
});
