import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { credentialsIn, mutate, mutations, readDevice, register } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const eventIn = (token: string): unknown =>
  (JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as { e: unknown }).e;

describe('registerDevice', () => {
  it('returns the device as it is read afterwards, with credentials and the token of its event', async () => {
    const labels = [
      { key: 'site', value: 'Köln' },
      { key: 'a/b', value: '' },
    ];
    const reply = await register(world, { name: '  Pump 7 ', labels });

    expect(reply.device).toMatchObject({
      name: 'Pump 7',
      type: { id: 'generic' },
      status: 'ACTIVE',
      revision: 1,
      labels: [labels[1], labels[0]],
      desiredState: { values: {}, version: 0 },
      reportedState: { values: {}, version: 0, at: null },
    });
    expect(reply.device.createdAt).toBe(reply.device.updatedAt);
    expect(await readDevice(world, reply.device.id)).toEqual(reply.device);
    const { clientId, username, password } = credentialsIn(reply);
    expect([clientId, username]).toEqual([reply.device.id, reply.device.id]);
    expect(password).toMatch(/^[\w-]{43}$/);

    const [event, ...others] = await world.history(`device-${reply.device.id}`);
    expect(others).toEqual([]);
    expect(eventIn(reply.consistencyToken)).toBe(event?.id);
    expect(event).toMatchObject({
      type: 'io.fleetgraph.device.registered.v1',
      tenant: 'acme',
      revision: 1,
      subject: reply.device.id,
      source: '/device',
      actor: 'tester',
      causationId: null,
      data: {
        deviceId: reply.device.id,
        name: 'Pump 7',
        typeId: 'generic',
        labels: { site: 'Köln', 'a/b': '' },
      },
    });
  });

  it('writes the trace and correlation of the request into its event', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const { device } = await register(world, {}, { headers: { traceparent, 'x-correlation-id': 'order-17' } });
    expect(await world.history(`device-${device.id}`)).toMatchObject([{ traceparent, correlationId: 'order-17' }]);
  });

  it('keeps a hash of the password, and the password nowhere', async () => {
    const reply = await register(world, { idempotencyKey: 'secret-nowhere' });
    const { password } = credentialsIn(reply);
    const { rows } = await world.database.pool.query<{ text: string }>(
      `SELECT c::text AS text FROM device.credentials c UNION ALL SELECT k::text FROM device.idempotency_keys k
       UNION ALL SELECT e::text FROM events.events e UNION ALL SELECT d::text FROM device.devices d`,
    );
    expect(rows.filter(({ text }) => text.includes(reply.device.id)).length).toBeGreaterThanOrEqual(4);
    expect(rows.filter(({ text }) => text.includes(password))).toEqual([]);
  });

  it('makes the type generic of a tenant once, with an event', async () => {
    const as = { tenant: 'first-comer' };
    await Promise.all(Array.from({ length: 5 }, () => register(world, {}, as)));
    const { rows } = await world.database.pool.query(
      `SELECT revision FROM events.events WHERE stream = 'device-type-generic' AND tenant = 'first-comer'`,
    );
    expect(rows).toEqual([{ revision: 1 }]);
  });

  it('refuses a type that is not there and leaves nothing behind', async () => {
    const before = await world.census();
    expect(await world.refusal(mutations.registerDevice, { input: { name: 'x', typeId: 'no-such' } })).toEqual({
      code: 'NOT_FOUND',
      field: 'input.typeId',
    });
    expect(await world.census()).toEqual(before);
  });
});

describe('updateDevice', () => {
  it('changes what is given and leaves the rest as it was', async () => {
    const { device } = await register(world, { name: 'Old', labels: [{ key: 'a', value: '1' }] });
    const { id } = device;
    await mutate(world, 'defineDeviceType', { id: 'valve', name: 'Valve' });

    expect((await mutate(world, 'updateDevice', { id, name: 'New' })).device).toMatchObject({
      name: 'New',
      revision: 2,
      labels: [{ key: 'a', value: '1' }],
      type: { id: 'generic' },
      createdAt: device.createdAt,
    });
    expect((await mutate(world, 'updateDevice', { id, typeId: 'valve', name: null })).device).toMatchObject({
      name: 'New',
      revision: 3,
      type: { id: 'valve' },
    });
    const labels = [{ key: 'b', value: '2' }];
    const last = await mutate(world, 'updateDevice', { id, labels });
    expect(last.device).toMatchObject({ revision: 4, labels });
    expect((await mutate(world, 'updateDevice', { id, labels: [] })).device).toMatchObject({ revision: 5, labels: [] });

    const history = await world.history(`device-${id}`);
    expect(history.map(({ revision }) => revision)).toEqual([1, 2, 3, 4, 5]);
    expect(history[3]?.data).toEqual({ deviceId: id, name: 'New', typeId: 'valve', labels: { b: '2' } });
    expect(eventIn(last.consistencyToken)).toBe(history[3]?.id);
  });

  it('refuses a type that is not there', async () => {
    const { device } = await register(world);
    expect(await world.refusal(mutations.updateDevice, { input: { id: device.id, typeId: 'no-such' } })).toEqual({
      code: 'NOT_FOUND',
      field: 'input.typeId',
    });
    expect(await readDevice(world, device.id)).toEqual(device);
  });
});

describe('decommissionDevice', () => {
  it('ends the service once: a repetition succeeds, changes nothing and gives the same token', async () => {
    const { device } = await register(world);
    const first = await mutate(world, 'decommissionDevice', { id: device.id });
    expect(first.device).toMatchObject({ status: 'DECOMMISSIONED', revision: 2 });
    expect(await mutate(world, 'decommissionDevice', { id: device.id })).toEqual(first);
    expect((await world.history(`device-${device.id}`)).map(({ type }) => type)).toEqual([
      'io.fleetgraph.device.registered.v1',
      'io.fleetgraph.device.decommissioned.v1',
    ]);
  });

  it('lets nothing else happen to the device afterwards', async () => {
    const { device } = await register(world);
    const { id } = device;
    await mutate(world, 'decommissionDevice', { id });
    const refused = { code: 'CONFLICT' };
    expect(await world.refusal(mutations.updateDevice, { input: { id, name: 'x' } })).toEqual(refused);
    expect(await world.refusal(mutations.rotateDeviceCredentials, { input: { id } })).toEqual(refused);
    expect(await world.refusal(mutations.setDesiredState, { input: { id, desired: {} } })).toEqual(refused);
    expect(await world.history(`device-${id}`)).toHaveLength(2);
  });
});

describe('setDesiredState', () => {
  it('merges unless it is told to replace, and counts versions', async () => {
    const { device } = await register(world);
    const { id } = device;
    const set = async (desired: unknown, more = {}) =>
      (await mutate(world, 'setDesiredState', { id, desired, ...more })).device.desiredState;

    expect(await set({ mode: 'eco', fan: { speed: 1, on: true } })).toEqual({
      values: { mode: 'eco', fan: { speed: 1, on: true } },
      version: 1,
    });
    expect(await set({ mode: null, fan: { speed: 2 } })).toEqual({
      values: { fan: { speed: 2, on: true } },
      version: 2,
    });
    expect(await set({ x: null, list: [null, 1] }, { merge: false })).toEqual({
      values: { x: null, list: [null, 1] },
      version: 3,
    });
    expect((await world.history(`device-${id}`)).at(-1)).toMatchObject({
      type: 'io.fleetgraph.device.desired-state-set.v1',
      revision: 4,
      data: { deviceId: id, desired: { x: null, list: [null, 1] }, version: 3 },
    });
  });
});

it.each(['updateDevice', 'decommissionDevice', 'rotateDeviceCredentials', 'setDesiredState'] as const)(
  '%s of a device that is not there is NOT_FOUND',
  async (name) => {
    const input = { id: 'dev_nowhere', ...(name === 'setDesiredState' ? { desired: {} } : {}) };
    expect(await world.refusal(mutations[name], { input })).toEqual({ code: 'NOT_FOUND', field: 'input.id' });
  },
);
