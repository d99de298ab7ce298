import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld } from './device-world.js';
import { mutate, mutations, readDevice, register, typeQuery, type DeviceView } from './operations.js';

let world: DeviceWorld;
let mine: DeviceView;

const thief = { tenant: 'globex' };

beforeAll(async () => {
  world = await createDeviceWorld();
  await mutate(world, 'defineDeviceType', { id: 'secret-type', name: 'Ours' });
  mine = (await register(world, { typeId: 'secret-type', labels: [{ key: 'site', value: 'x' }] })).device;
  await register(world, {}, thief);
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const entities = `query E($representations: [_Any!]!) { _entities(representations: $representations) {
  __typename ... on Device { id name type { id } } ... on DeviceType { id name } } }`;

const entity = (__typename: string, id: unknown) => ({ __typename, id });

async function read(representations: readonly unknown[], as = {}): Promise<readonly unknown[]> {
  return (await world.data<{ _entities: readonly unknown[] }>(entities, { representations }, as))._entities;
}

describe('another tenant', () => {
  it('reads nothing of a device or type by its id', async () => {
    expect(await readDevice(world, mine.id, thief)).toBeNull();
    expect(await world.data(typeQuery, { id: 'secret-type' }, thief)).toEqual({ deviceType: null });
    expect(await read([entity('Device', mine.id), entity('DeviceType', 'secret-type')], thief)).toEqual([null, null]);
  });

  it('finds nothing of it in lists, counts and searches', async () => {
    const { devices, deviceTypes } = await world.data<{
      devices: { readonly totalCount: number; readonly edges: readonly { readonly node: { readonly id: string } }[] };
      deviceTypes: { readonly edges: readonly { readonly node: { readonly id: string } }[] };
    }>('{ devices { totalCount edges { node { id } } } deviceTypes { edges { node { id } } } }', {}, thief);
    expect(devices.totalCount).toBe(1);
    expect(devices.edges.map(({ node }) => node.id)).not.toContain(mine.id);
    expect(deviceTypes.edges).toEqual([{ node: { id: 'generic' } }]);
    const labelled = '{ devices(filter: { labels: [{ key: "site", value: "x" }] }) { totalCount } }';
    expect(await world.data(labelled, {}, thief)).toEqual({ devices: { totalCount: 0 } });
    expect(await world.data(labelled)).toEqual({ devices: { totalCount: 1 } });
  });

  it.each([
    ['updateDevice', { name: 'stolen' }],
    ['decommissionDevice', {}],
    ['rotateDeviceCredentials', {}],
    ['setDesiredState', { desired: { stolen: true } }],
  ] as const)('can not %s, and is told no more than of a device that is not there', async (name, more) => {
    const before = await world.census();
    const refusal = await world.graphql(mutations[name], { input: { id: mine.id, ...more } }, thief);
    const absent = await world.graphql(mutations[name], { input: { id: 'dev_absent', ...more } }, thief);
    expect(refusal.errors?.[0]?.extensions).toEqual({ code: 'NOT_FOUND', field: 'input.id' });
    expect(JSON.stringify(refusal).replaceAll(mine.id, 'dev_absent')).toBe(JSON.stringify(absent));
    expect(await world.census()).toEqual(before);
    expect(await readDevice(world, mine.id)).toEqual(mine);
  });

  it('can not make devices of a type that is not its own', async () => {
    const input = { name: 'x', typeId: 'secret-type' };
    expect(await world.refusal(mutations.registerDevice, { input }, thief)).toMatchObject({ code: 'NOT_FOUND' });
    const many = await mutate(world, 'registerDevices', { devices: [input] }, thief);
    expect(many.results[0]?.error).toMatchObject({ code: 'NOT_FOUND', field: 'input.devices[0].typeId' });
  });

  it('has a type of the same id as its own, and idempotency keys of its own', async () => {
    await mutate(world, 'defineDeviceType', { id: 'secret-type', name: 'Theirs' }, { tenant: 'third' });
    expect(await world.data(typeQuery, { id: 'secret-type' })).toMatchObject({ deviceType: { name: 'Ours' } });
    const input = { idempotencyKey: 'same-key' };
    const ours = await register(world, input);
    const theirs = await register(world, input, { tenant: 'third' });
    expect(theirs.device.id).not.toBe(ours.device.id);
    expect(theirs.credentials).not.toBeNull();
  });

  it('is not believed by the directory', async () => {
    expect(await world.directory.find('globex', mine.id)).toBeUndefined();
    expect(await world.directory.find('acme', mine.id)).toMatchObject({ deviceId: mine.id });
  });
});

describe('_entities', () => {
  it('gives each entity in the order asked for, null where there is none', async () => {
    const ids = ['dev_absent', mine.id, 'a\u0000b', '\ud800', "' OR 1=1 --", mine.id];
    const found = await read([...ids.map((id) => entity('Device', id)), entity('DeviceType', 'secret-type')]);
    const device = { __typename: 'Device', id: mine.id, name: mine.name, type: { id: 'secret-type' } };
    const type = { __typename: 'DeviceType', id: 'secret-type', name: 'Ours' };
    expect(found).toEqual([null, device, null, null, null, device, type]);
  });

  it.each([[undefined], [null], [5], [['x']], [{ x: 1 }]])(
    'refuses the id %j, and still gives the entities beside it',
    async (id) => {
      const representations = [entity('Device', id), entity('Device', mine.id)];
      const reply = await world.graphql<{ _entities: unknown[] }>(entities, { representations });
      expect(reply.errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'BAD_USER_INPUT', field: 'id' }]);
      expect(reply.data?._entities).toMatchObject([null, { id: mine.id }]);
    },
  );
});
