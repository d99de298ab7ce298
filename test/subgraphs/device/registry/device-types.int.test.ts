import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../../../world/eventually.js';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { mutate, mutations, register, typeFields, typeQuery, type TypeView } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const metrics = [
  { name: 'temperature', kind: 'NUMBER', unit: '°C', description: 'Of the water.' },
  { name: 'burning', kind: 'BOOLEAN' },
];

it('defines a type that is read as it was defined, with an event', async () => {
  const input = { id: 'boiler-1', name: ' Boiler ', description: 'Heats.', metrics, decoder: 'senml' };
  const { deviceType } = await mutate(world, 'defineDeviceType', input);
  expect(deviceType).toMatchObject({
    id: 'boiler-1',
    name: 'Boiler',
    description: 'Heats.',
    decoder: 'senml',
    revision: 1,
    metrics: [metrics[0], { ...metrics[1], unit: null, description: null }],
  });
  expect((await world.data<{ deviceType: TypeView }>(typeQuery, { id: 'boiler-1' })).deviceType).toEqual(deviceType);
  expect(await world.history('device-type-boiler-1')).toMatchObject([
    {
      type: 'io.fleetgraph.device-type.defined.v1',
      subject: 'boiler-1',
      revision: 1,
      actor: 'tester',
      data: { typeId: 'boiler-1', name: 'Boiler', description: 'Heats.', metrics, decoder: 'senml' },
    },
  ]);
});

const commands = [
  {
    name: 'setpoint',
    description: 'The temperature of the water.',
    parametersSchema: { type: 'object', properties: { celsius: { type: 'number' } }, required: ['celsius'] },
  },
  { name: 'reset' },
];

it('keeps the commands of a type with their schemas, in its event, too', async () => {
  const { deviceType } = await mutate(world, 'defineDeviceType', { id: 'commanded', name: 'C', commands });
  expect(deviceType.commands).toEqual([commands[0], { name: 'reset', description: null, parametersSchema: null }]);
  const [defined] = await world.history('device-type-commanded');
  expect(defined?.data).toMatchObject({ commands });
  const { deviceType: without } = await mutate(world, 'defineDeviceType', { id: 'commanded', name: 'C' });
  expect(without.commands).toEqual([]);
});

it.each([
  [[{ name: 'a b' }], 'input.commands[0].name'],
  [[{ name: 'a' }, { name: 'a' }], 'input.commands[1].name'],
  [[{ name: 'a', parametersSchema: { type: 'strng' } }], 'input.commands[0].parametersSchema'],
  [[{ name: 'a', parametersSchema: 'object' }], 'input.commands[0].parametersSchema'],
  [Array.from({ length: 101 }, (_, index) => ({ name: `c${index}` })), 'input.commands'],
])('refuses the commands %#: %s', async (wrong, field) => {
  const input = { id: 'refused', name: 'R', commands: wrong };
  expect(await world.refusal(mutations.defineDeviceType, { input })).toEqual({ code: 'BAD_USER_INPUT', field });
});

it('replaces a definition as a whole: what is left out is gone', async () => {
  const first = await mutate(world, 'defineDeviceType', { id: 'whole', name: 'W', description: 'Was.', metrics });
  const second = await mutate(world, 'defineDeviceType', { id: 'whole', name: 'W2' });
  expect(second.deviceType).toMatchObject({
    name: 'W2',
    description: null,
    metrics: [],
    decoder: 'json',
    revision: 2,
    createdAt: first.deviceType.createdAt,
  });
  expect(await world.history('device-type-whole')).toHaveLength(2);
});

it('lets a metric change its kind until there is a device of the type', async () => {
  const define = (kind: string, extra: readonly unknown[] = []) => ({
    id: 'kinds',
    name: 'K',
    metrics: [{ name: 'level', kind }, ...extra],
  });
  await mutate(world, 'defineDeviceType', define('NUMBER'));
  await mutate(world, 'defineDeviceType', define('STRING'));
  await register(world, { typeId: 'kinds' });
  expect(await world.refusal(mutations.defineDeviceType, { input: define('NUMBER') })).toEqual({
    code: 'CONFLICT',
    field: 'input.metrics',
  });
  const { deviceType } = await mutate(world, 'defineDeviceType', define('STRING', [{ name: 'more', kind: 'NUMBER' }]));
  expect(deviceType).toMatchObject({ revision: 3, metrics: [{ kind: 'STRING' }, { name: 'more' }] });
});

it('waits for a registration that is not committed yet before it decides whether a kind may change', async () => {
  const define = (kind: string) => ({ input: { id: 'raced', name: 'R', metrics: [{ name: 'level', kind }] } });
  await mutate(world, 'defineDeviceType', define('NUMBER').input);
  const client = await world.database.pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(
      `INSERT INTO device.devices (id, tenant, name, type_id, revision, created_at, updated_at)
       VALUES ('dev_raced', 'acme', 'Raced', 'raced', 1, now(), now())`,
    );
    const refusal = world.refusal(mutations.defineDeviceType, define('STRING'));
    await eventually(async () => {
      const { rows } = await world.database.pool.query(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      expect(rows).toHaveLength(1);
    });
    await client.query('COMMIT');
    expect(await refusal).toEqual({ code: 'CONFLICT', field: 'input.metrics' });
  } finally {
    client.release();
  }
});

it('gives each definition that comes at once a revision of its own', async () => {
  const names = Array.from({ length: 12 }, (_, n) => `R${n}`);
  await Promise.all(names.map((name) => mutate(world, 'defineDeviceType', { id: 'rush', name })));
  const history = await world.history('device-type-rush');
  expect(history.map(({ revision }) => revision)).toEqual(names.map((_, n) => n + 1));
  const { deviceType } = await world.data<{ deviceType: TypeView }>(typeQuery, { id: 'rush' });
  expect(deviceType).toMatchObject({ revision: 12, name: history.at(-1)?.data['name'] });
});

it('pages through the types in the order of their ids, and only those of the tenant', async () => {
  const as = { tenant: 'typist' };
  for (const id of ['b', 'a', 'C', 'd', 'e']) await mutate(world, 'defineDeviceType', { id, name: id }, as);
  interface Page {
    readonly deviceTypes: {
      readonly edges: readonly { readonly node: TypeView }[];
      readonly pageInfo: Readonly<Record<string, unknown>>;
    };
  }
  const page = async (after?: unknown): Promise<Page['deviceTypes']> =>
    (
      await world.data<Page>(
        `query T($after: String) { deviceTypes(first: 2, after: $after) { edges { cursor node { ${typeFields} } }
           pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
        { after },
        as,
      )
    ).deviceTypes;
  const first = await page();
  const second = await page(first.pageInfo['endCursor']);
  const third = await page(second.pageInfo['endCursor']);
  expect([first, second, third].map(({ edges }) => edges.map(({ node }) => node.id))).toEqual([
    ['C', 'a'],
    ['b', 'd'],
    ['e'],
  ]);
  expect([first, second, third].map(({ pageInfo }) => [pageInfo['hasPreviousPage'], pageInfo['hasNextPage']])).toEqual([
    [false, true],
    [true, true],
    [true, false],
  ]);
});

it('knows a type that nobody defined as null', async () => {
  expect(await world.data(typeQuery, { id: 'nobody' })).toEqual({ deviceType: null });
});
