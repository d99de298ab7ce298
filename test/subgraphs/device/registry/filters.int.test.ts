import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { mutate, register } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
  await mutate(world, 'defineDeviceType', { id: 'valve', name: 'Valve' });
  const label = (key: string, value: string) => ({ key, value });
  await register(world, { name: 'North Boiler', labels: [label('site', 'köln'), label('floor', '1')] });
  await register(world, { name: 'south boiler', labels: [label('site', 'köln'), label('floor', '2')] });
  await register(world, { name: '100% \\_valve', typeId: 'valve', labels: [label('site', 'bonn')] });
  const { device } = await register(world, { name: '1000 valve', typeId: 'valve', labels: [label('floor', '1')] });
  await mutate(world, 'decommissionDevice', { id: device.id });
  await register(world, { name: 'North Boiler', labels: [label('site', 'köln')] }, { tenant: 'other' });
  await world.database.pool.query(`UPDATE device.devices SET online = true WHERE name = 'south boiler'`);
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

async function matching(filter: unknown): Promise<readonly string[]> {
  const { devices } = await world.data<{
    devices: { readonly totalCount: number; readonly edges: readonly { readonly node: { readonly name: string } }[] };
  }>(`query F($filter: DeviceFilter) { devices(filter: $filter) { totalCount edges { node { name } } } }`, { filter });
  const names = devices.edges.map(({ node }) => node.name);
  // The count and the list must be of the same devices.
  expect(devices.totalCount).toBe(names.length);
  return names;
}

const everything = ['100% \\_valve', '1000 valve', 'North Boiler', 'south boiler'];

describe('the list of devices', () => {
  it.each([null, {}, { search: null, typeId: null, labels: null, status: null, online: null }])(
    'has all of the tenant for the filter %j',
    async (filter) => {
      expect(await matching(filter)).toEqual(everything);
    },
  );

  it.each([
    ['any case', 'NORTH', ['North Boiler']],
    ['the middle of a name', 'boil', ['North Boiler', 'south boiler']],
    ['nothing', '', everything],
    ['a percent sign as itself', '0%', ['100% \\_valve']],
    ['an underscore as itself', '_', ['100% \\_valve']],
    ['a backslash as itself', '\\', ['100% \\_valve']],
    ['what looks like SQL', "' OR 1=1 --", []],
    ['U+0000', 'North\u0000', []],
    ['half of a surrogate pair', '\ud83d', []],
  ])('searches for %s', async (_, search, names) => {
    expect(await matching({ search })).toEqual(names);
  });

  it.each([
    ['valve', ['100% \\_valve', '1000 valve']],
    ['VALVE', []],
    ["valve' --", []],
    ['valve\u0000', []],
  ])('has those of the type %j', async (typeId, names) => {
    expect(await matching({ typeId })).toEqual(names);
  });

  it.each([
    [{ typeId: '' }, 'filter.typeId'],
    [{ typeId: 'x'.repeat(129) }, 'filter.typeId'],
    [{ labels: [] }, 'filter.labels'],
  ])('refuses the filter %j', async (filter, field) => {
    const query = 'query F($filter: DeviceFilter) { devices(filter: $filter) { totalCount } }';
    expect((await world.graphql(query, { filter })).errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', field } },
    ]);
  });

  it('has those with every label asked for, key and value', async () => {
    const labels = (...pairs: readonly (readonly [string, string])[]) => ({
      labels: pairs.map(([key, value]) => ({ key, value })),
    });
    expect(await matching(labels(['site', 'köln']))).toEqual(['North Boiler', 'south boiler']);
    expect(await matching(labels(['site', 'köln'], ['floor', '1']))).toEqual(['North Boiler']);
    expect(await matching(labels(['site', 'köln'], ['site', 'bonn']))).toEqual([]);
    expect(await matching(labels(['site', 'KÖLN']))).toEqual([]);
    expect(await matching(labels(['köln', 'site']))).toEqual([]);
    expect(await matching(labels(['site', 'k\u0000']))).toEqual([]);
    expect(await matching(labels(['\udfff', 'x']))).toEqual([]);
    expect(await matching(labels(["site' OR true --", 'köln']))).toEqual([]);
  });

  it('has those of a status, and those that are or are not connected', async () => {
    expect(await matching({ status: 'DECOMMISSIONED' })).toEqual(['1000 valve']);
    expect(await matching({ status: 'ACTIVE' })).toHaveLength(3);
    expect(await matching({ online: true })).toEqual(['south boiler']);
    expect(await matching({ online: false })).toHaveLength(3);
  });

  it('has those that a selector selects', async () => {
    const selected = (selector: unknown) => matching({ selector });
    expect(await selected({})).toEqual(everything);
    expect(await selected({ typeIds: ['valve', 'pump'] })).toEqual(['100% \\_valve', '1000 valve']);
    expect(await selected({ labels: [{ key: 'site', in: ['bonn', 'berlin'] }] })).toEqual(['100% \\_valve']);
    expect(await selected({ labels: [{ key: 'site', notIn: ['köln'] }] })).toEqual(['100% \\_valve', '1000 valve']);
    expect(await selected({ labels: [{ key: 'site', exists: false }] })).toEqual(['1000 valve']);
    const labels = [
      { key: 'site', equals: 'köln' },
      { key: 'floor', exists: true },
    ];
    expect(await selected({ labels })).toEqual(['North Boiler', 'south boiler']);
    expect(await matching({ selector: { labels }, search: 'south', status: 'ACTIVE' })).toEqual(['south boiler']);
    expect(await selected({ ids: ['of-nobody'] })).toEqual([]);
    const refused = await world.graphql('query F($filter: DeviceFilter) { devices(filter: $filter) { totalCount } }', {
      filter: { selector: { labels: [{ key: 'site', in: [] }] } },
    });
    expect(refused.errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', field: 'filter.selector.labels[0].in' } },
    ]);
  });

  it('has those that meet every condition', async () => {
    const filter = {
      search: 'boiler',
      typeId: 'generic',
      status: 'ACTIVE',
      online: false,
      labels: [{ key: 'floor', value: '1' }],
    };
    expect(await matching(filter)).toEqual(['North Boiler']);
    expect(await matching({ ...filter, online: true })).toEqual([]);
    expect(await matching({ ...filter, typeId: 'valve' })).toEqual([]);
  });
});
