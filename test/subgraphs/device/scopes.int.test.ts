import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allScopes } from '../../../platform/identity/identity.js';
import { createDeviceWorld, type DeviceWorld } from './device-world.js';
import { mutations, readDevice, register, type DeviceView } from './operations.js';

let world: DeviceWorld;
let device: DeviceView;

beforeAll(async () => {
  world = await createDeviceWorld();
  ({ device } = await register(world));
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const queries = {
  device: '{ device(id: "x") { id } }',
  devices: '{ devices { totalCount } }',
  deviceType: '{ deviceType(id: "generic") { id } }',
  deviceTypes: '{ deviceTypes { edges { cursor } } }',
} as const;

const entities = 'query E($r: [_Any!]!) { _entities(representations: $r) { __typename } }';

/** An input that each mutation would take. */
const inputOf = (name: keyof typeof mutations): Readonly<Record<string, unknown>> =>
  ({
    registerDevice: { name: 'x', typeId: 'generic' },
    registerDevices: { devices: [{ name: 'x', typeId: 'generic' }] },
    updateDevice: { id: device.id, name: 'x' },
    decommissionDevice: { id: device.id },
    rotateDeviceCredentials: { id: device.id },
    setDesiredState: { id: device.id, desired: {} },
    defineDeviceType: { id: 'x', name: 'x' },
  })[name];

describe('a token', () => {
  it.each(Object.keys(queries) as (keyof typeof queries)[])('needs device:read for %s', async (name) => {
    const without = allScopes.filter((scope) => scope !== 'device:read');
    expect(await world.refusal(queries[name], {}, { scopes: without })).toEqual({ code: 'FORBIDDEN' });
    expect(await world.data(queries[name], {}, { scopes: ['device:read'] })).toHaveProperty(name);
  });

  it.each(['Device', 'DeviceType'])('needs device:read for the entity %s', async (__typename) => {
    const r = [{ __typename, id: 'generic' }];
    const without = allScopes.filter((scope) => scope !== 'device:read');
    expect(await world.refusal(entities, { r }, { scopes: without })).toEqual({ code: 'FORBIDDEN' });
    expect(await world.data(entities, { r }, { scopes: ['device:read'] })).toHaveProperty('_entities');
  });

  it.each(Object.keys(mutations) as (keyof typeof mutations)[])(
    'needs device:write for %s, which otherwise changes nothing',
    async (name) => {
      const before = [await world.census(), await readDevice(world, device.id)];
      const without = allScopes.filter((scope) => scope !== 'device:write');
      const variables = { input: inputOf(name) };
      expect(await world.refusal(mutations[name], variables, { scopes: without })).toEqual({ code: 'FORBIDDEN' });
      expect([await world.census(), await readDevice(world, device.id)]).toEqual(before);
    },
  );

  it('with device:write alone is enough for a mutation and its reply', async () => {
    const { device: own } = await register(world, { name: 'By a writer' }, { scopes: ['device:write'] });
    expect(own).toMatchObject({ name: 'By a writer', type: { id: 'generic' } });
  });
});

describe('without a good token', () => {
  const post = async (headers: Readonly<Record<string, string>>): Promise<readonly [number, string | undefined]> => {
    const response = await fetch(world.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query: queries.devices }),
    });
    const reply = (await response.json()) as { errors?: { extensions?: { code?: string } }[] };
    return [response.status, reply.errors?.[0]?.extensions?.code];
  };
  const refused = [401, 'UNAUTHENTICATED'];

  it('nothing is answered but 401', async () => {
    expect(await post({})).toEqual(refused);
    expect(await post({ authorization: 'Bearer ' })).toEqual(refused);
    expect(await post({ authorization: 'Basic YTpi' })).toEqual(refused);
    expect(await post({ authorization: 'Bearer not.a.token' })).toEqual(refused);
    const expired = await world.issuer.token('acme', allScopes, -60);
    expect(await post({ authorization: `Bearer ${expired}` })).toEqual(refused);
    const [head, , signature] = (await world.issuer.token('acme')).split('.');
    const forged = Buffer.from(JSON.stringify({ tenant: 'globex', exp: 9_999_999_999 })).toString('base64url');
    expect(await post({ authorization: `Bearer ${head}.${forged}.${signature}` })).toEqual(refused);
    expect(await post({ authorization: `Bearer ${await world.issuer.token('acme')}` })).toEqual([200, undefined]);
  });
});
