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

const conflict = { code: 'CONFLICT', field: 'input.idempotencyKey' };

describe('a repetition with the same idempotency key', () => {
  it('registers nothing again and gives the device and token of the first, without credentials', async () => {
    const input = { name: 'Once', labels: [{ key: 'a', value: 'b' }], idempotencyKey: 'register' };
    const first = await register(world, input);
    const before = await world.census();
    expect(await register(world, input)).toEqual({ ...first, credentials: null });
    expect(await world.census()).toEqual(before);
    expect(await world.directory.authenticate(credentialsIn(first))).toBeDefined();
  });

  it('does the same when the input is only written in another way', async () => {
    const first = await register(world, { name: 'Same', labels: [], idempotencyKey: 'spelling' });
    const second = await register(world, { name: ' Same ', labels: null, idempotencyKey: 'spelling' });
    expect(second.device.id).toBe(first.device.id);
  });

  it.each([{ name: 'Other' }, { typeId: 'other-type' }, { labels: [{ key: 'a', value: '' }] }])(
    'is refused when the input has another %j',
    async (other) => {
      await mutate(world, 'defineDeviceType', { id: 'other-type', name: 'T' });
      const input = { name: 'Boiler', typeId: 'generic', idempotencyKey: `other ${JSON.stringify(other)}` };
      await register(world, input);
      const before = await world.census();
      expect(await world.refusal(mutations.registerDevice, { input: { ...input, ...other } })).toEqual(conflict);
      expect(await world.census()).toEqual(before);
    },
  );

  it('gives the results of a bulk registration again, errors included, without credentials', async () => {
    const input = {
      devices: [
        { name: 'a', typeId: 'generic' },
        { name: '', typeId: 'generic' },
        { name: 'c', typeId: 'generic' },
      ],
      idempotencyKey: 'bulk',
    };
    const first = await mutate(world, 'registerDevices', input);
    expect(first.results.map(({ credentials }) => credentials !== null)).toEqual([true, false, true]);
    const second = await mutate(world, 'registerDevices', input);
    expect(second).toEqual({
      ...first,
      results: first.results.map((result) => ({ ...result, credentials: null })),
    });
    const reordered = { ...input, devices: [...input.devices].reverse() };
    expect(await world.refusal(mutations.registerDevices, { input: reordered })).toEqual(conflict);
  });

  it('of rotateDeviceCredentials leaves the first password in force', async () => {
    const { device } = await register(world);
    const input = { id: device.id, idempotencyKey: 'rotate' };
    const first = await mutate(world, 'rotateDeviceCredentials', input);
    const second = await mutate(world, 'rotateDeviceCredentials', input);
    expect(second).toEqual({ ...first, credentials: null });
    expect(await world.directory.authenticate(credentialsIn(first))).toBeDefined();
  });

  it('of a change does not change again, even when the device has been changed since', async () => {
    const { device } = await register(world);
    const { id } = device;
    const update = { id, name: 'First', expectedRevision: 1, idempotencyKey: 'update' };
    const first = await mutate(world, 'updateDevice', update);
    await mutate(world, 'updateDevice', { id, name: 'Second' });
    const again = await mutate(world, 'updateDevice', update);
    expect(again.consistencyToken).toBe(first.consistencyToken);
    expect(await readDevice(world, id)).toMatchObject({ name: 'Second', revision: 3 });

    const desire = { id, desired: { a: { b: 1 }, c: 2 }, idempotencyKey: 'desire' };
    await mutate(world, 'setDesiredState', desire);
    await mutate(world, 'setDesiredState', { ...desire, desired: { c: 2, a: { b: 1 } } });
    expect((await readDevice(world, id))?.desiredState.version).toBe(1);
    expect(await world.refusal(mutations.setDesiredState, { input: { ...desire, merge: false } })).toEqual(conflict);

    const end = { id, idempotencyKey: 'end' };
    expect(await mutate(world, 'decommissionDevice', end)).toEqual(await mutate(world, 'decommissionDevice', end));
    expect(await world.history(`device-${id}`)).toHaveLength(5);
  });

  it('of defineDeviceType does not put the old definition back', async () => {
    const input = { id: 'kept', name: 'First', idempotencyKey: 'define' };
    const first = await mutate(world, 'defineDeviceType', input);
    await mutate(world, 'defineDeviceType', { id: 'kept', name: 'Second' });
    const again = await mutate(world, 'defineDeviceType', input);
    expect(again.consistencyToken).toBe(first.consistencyToken);
    expect(await world.history('device-type-kept')).toHaveLength(2);
  });

  it('is one of its own for each operation', async () => {
    const { device } = await register(world, { idempotencyKey: 'shared' });
    const { device: renamed } = await mutate(world, 'updateDevice', {
      id: device.id,
      name: 'Renamed',
      idempotencyKey: 'shared',
    });
    expect(renamed.name).toBe('Renamed');
  });

  it('is not remembered for a mutation that failed', async () => {
    const input = { name: 'x', typeId: 'comes-later', idempotencyKey: 'failed' };
    expect(await world.refusal(mutations.registerDevice, { input })).toMatchObject({ code: 'NOT_FOUND' });
    await mutate(world, 'defineDeviceType', { id: 'comes-later', name: 'T' });
    expect(credentialsIn(await register(world, input)).password).not.toBe('');
  });
});

describe('the same key at once', () => {
  it('registers one device, and exactly one reply has its credentials', async () => {
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => register(world, { name: 'Race', idempotencyKey: 'race' })),
    );
    expect(new Set(replies.map(({ device, consistencyToken }) => `${device.id} ${consistencyToken}`)).size).toBe(1);
    const shown = replies.filter(({ credentials }) => credentials !== null);
    expect(shown).toHaveLength(1);
    for (const reply of shown) expect(await world.directory.authenticate(credentialsIn(reply))).toBeDefined();
    const { rows } = await world.database.pool.query(`SELECT 1 FROM device.devices WHERE name = 'Race'`);
    expect(rows).toHaveLength(1);
  });

  it('with different inputs does one of them and refuses the others', async () => {
    const replies = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) =>
        world.graphql(mutations.registerDevice, { input: { name, typeId: 'generic', idempotencyKey: 'fight' } }),
      ),
    );
    const refused = replies.flatMap(({ errors }) => errors ?? []);
    expect(refused.map(({ extensions }) => extensions)).toEqual([conflict, conflict, conflict]);
  });
});
