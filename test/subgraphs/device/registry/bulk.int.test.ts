import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { mutate, mutations } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** How many transactions wrote the devices of the thousand. */
async function commits(): Promise<number> {
  const { rows } = await world.database.pool.query<{ transactions: number }>(
    `SELECT count(DISTINCT xmin::text)::int AS transactions FROM device.devices WHERE tenant = 'thousand'`,
  );
  return rows[0]?.transactions ?? 0;
}

it('registers those of a thousand that are right, in one transaction, and tells what is wrong with each other', async () => {
  const wrong: Readonly<Record<number, { readonly item: unknown; readonly code: string; readonly field: string }>> = {
    0: { item: { name: ' ', typeId: 'generic' }, code: 'BAD_USER_INPUT', field: 'input.devices[0].name' },
    17: { item: { name: 'x', typeId: 'no-such' }, code: 'NOT_FOUND', field: 'input.devices[17].typeId' },
    18: { item: { name: 'a\u0000b', typeId: 'generic' }, code: 'BAD_USER_INPUT', field: 'input.devices[18].name' },
    500: {
      item: { name: 'x', typeId: 'generic', labels: [{ key: 'bad key', value: '' }] },
      code: 'BAD_USER_INPUT',
      field: 'input.devices[500].labels[0].key',
    },
    999: { item: { name: 'x', typeId: '\ud800' }, code: 'BAD_USER_INPUT', field: 'input.devices[999].typeId' },
  };
  const devices = Array.from(
    { length: 1_000 },
    (_, n) => wrong[n]?.item ?? { name: `Device ${n}`, typeId: 'generic', labels: [{ key: 'n', value: `${n}` }] },
  );
  const as = { tenant: 'thousand' };
  const reply = await mutate(world, 'registerDevices', { devices }, as);

  expect(reply.registered).toBe(995);
  expect(reply.results.map(({ index }) => index)).toEqual(devices.map((_, n) => n));
  for (const { index, device, credentials, error } of reply.results) {
    const fault = wrong[index];
    if (fault) {
      expect({ index, device, credentials, error }).toMatchObject({
        device: null,
        credentials: null,
        error: { code: fault.code, field: fault.field },
      });
    } else {
      expect(error).toBeNull();
      expect(device).toMatchObject({ name: `Device ${index}`, labels: [{ key: 'n', value: `${index}` }], revision: 1 });
      expect(credentials?.clientId).toBe(device?.id);
    }
  }
  expect(await commits()).toBe(1);
  expect(new Set(reply.results.flatMap(({ credentials }) => credentials?.password ?? [])).size).toBe(995);

  const last = reply.results[998];
  expect(await world.directory.authenticate(last?.credentials ?? { clientId: '', username: '', password: '' })).toEqual(
    {
      tenant: 'thousand',
      deviceId: last?.device?.id,
      typeId: 'generic',
      active: true,
      decoder: 'json',
      metrics: [],
    },
  );
  const { rows } = await world.database.pool.query(
    `SELECT count(*)::int AS events, count(DISTINCT stream)::int AS streams, count(DISTINCT transaction_id)::int AS transactions
     FROM events.events WHERE type = 'io.fleetgraph.device.registered.v1' AND tenant = 'thousand'`,
  );
  expect(rows).toEqual([{ events: 995, streams: 995, transactions: 1 }]);
});

it('takes as many statements for a hundred devices as for one', async () => {
  const statements = async (count: number): Promise<number> => {
    const devices = Array.from({ length: count }, (_, n) => ({ name: `d${n}`, typeId: 'generic' }));
    // What runs is counted by PostgreSQL: each statement that writes fires the trigger of its table once.
    await world.database.pool.query('TRUNCATE statement_count');
    await mutate(world, 'registerDevices', { devices }, { tenant: 'counted' });
    return (await world.database.pool.query('SELECT what FROM statement_count')).rows.length;
  };
  await world.database.pool.query(`
    CREATE TABLE public.statement_count (what text);
    CREATE FUNCTION public.count_statement() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO public.statement_count VALUES (TG_TABLE_NAME); RETURN NULL; END $$;
    CREATE TRIGGER counted AFTER INSERT ON device.devices FOR EACH STATEMENT EXECUTE FUNCTION public.count_statement();
    CREATE TRIGGER counted AFTER INSERT ON device.credentials FOR EACH STATEMENT EXECUTE FUNCTION public.count_statement();
    CREATE TRIGGER counted AFTER INSERT ON events.events FOR EACH STATEMENT EXECUTE FUNCTION public.count_statement()`);
  await mutate(world, 'registerDevices', { devices: [{ name: 'first', typeId: 'generic' }] }, { tenant: 'counted' });
  expect(await statements(1)).toBe(3);
  expect(await statements(100)).toBe(3);
});

it('registers nothing and says so when every device is wrong', async () => {
  const before = await world.census();
  const reply = await mutate(world, 'registerDevices', { devices: [{ name: '', typeId: 'nope' }] });
  expect(reply).toMatchObject({ registered: 0, consistencyToken: null, results: [{ device: null }] });
  expect(await world.census()).toEqual(before);
});

it.each([
  ['none', []],
  ['more than a thousand', Array.from({ length: 1_001 }, () => ({ name: 'x', typeId: 'generic' }))],
])('refuses %s', async (_, devices) => {
  expect(await world.refusal(mutations.registerDevices, { input: { devices } })).toEqual({
    code: 'BAD_USER_INPUT',
    field: 'input.devices',
  });
});
