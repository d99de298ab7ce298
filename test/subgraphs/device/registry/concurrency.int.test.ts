import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld, type Reply } from '../device-world.js';
import {
  credentialsIn,
  mutate,
  mutations,
  readDevice,
  register,
  type Changed,
  type Registered,
} from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const codesOf = (replies: readonly Reply<unknown>[]): readonly (string | undefined)[] =>
  replies.map(({ errors }) => errors?.[0]?.extensions?.code).sort();

/** The device must be what its last event says. */
async function expectNoGap(id: string, revisions: number): Promise<void> {
  const history = await world.history(`device-${id}`);
  expect(history.map(({ revision }) => revision)).toEqual(Array.from({ length: revisions }, (_, n) => n + 1));
  expect((await readDevice(world, id))?.revision).toBe(revisions);
}

describe('expectedRevision', () => {
  it('lets a change pass only at this revision', async () => {
    const { device } = await register(world);
    const input = { id: device.id, name: 'New', expectedRevision: 2 };
    const refused = { code: 'CONFLICT', field: 'input.expectedRevision' };
    expect(await world.refusal(mutations.updateDevice, { input })).toEqual(refused);
    expect(await world.refusal(mutations.updateDevice, { input: { ...input, expectedRevision: 0 } })).toEqual(refused);
    expect(await readDevice(world, device.id)).toEqual(device);
    await mutate(world, 'updateDevice', { ...input, expectedRevision: 1 });
    await expectNoGap(device.id, 2);
  });

  it('lets one of two changes at once pass', async () => {
    const { device } = await register(world);
    const replies = await Promise.all(
      ['A', 'B'].map((name) =>
        world.graphql<{ updateDevice: Changed }>(mutations.updateDevice, {
          input: { id: device.id, name, labels: [{ key: 'by', value: name }], expectedRevision: 1 },
        }),
      ),
    );
    expect(codesOf(replies)).toEqual(['CONFLICT', undefined]);
    const winner = replies.find(({ errors }) => errors === undefined)?.data?.updateDevice.device;
    expect(await readDevice(world, device.id)).toEqual(winner);
    expect(winner?.labels).toEqual([{ key: 'by', value: winner?.name }]);
    await expectNoGap(device.id, 2);
  });
});

describe('expectedVersion', () => {
  it('lets a desired state pass only at this version, 0 before the first', async () => {
    const { device } = await register(world);
    const { id } = device;
    const set = (expectedVersion: number) => ({ input: { id, desired: { n: expectedVersion }, expectedVersion } });
    const refused = { code: 'CONFLICT', field: 'input.expectedVersion' };
    expect(await world.refusal(mutations.setDesiredState, set(1))).toEqual(refused);
    await mutate(world, 'setDesiredState', set(0).input);
    expect(await world.refusal(mutations.setDesiredState, set(0))).toEqual(refused);
    await mutate(world, 'setDesiredState', set(1).input);
    expect((await readDevice(world, id))?.desiredState).toEqual({ values: { n: 1 }, version: 2 });
  });

  it('lets one of two at once pass', async () => {
    const { device } = await register(world);
    const replies = await Promise.all(
      [1, 2].map((n) =>
        world.graphql(mutations.setDesiredState, { input: { id: device.id, desired: { n }, expectedVersion: 0 } }),
      ),
    );
    expect(codesOf(replies)).toEqual(['CONFLICT', undefined]);
    await expectNoGap(device.id, 2);
  });
});

describe('changes at once that expect nothing', () => {
  it('all happen, one after the other, and none is lost', async () => {
    const { device } = await register(world);
    const { id } = device;
    const keys = Array.from({ length: 40 }, (_, n) => `k${n}`);
    const replies = await Promise.all(
      keys.map((key) => world.graphql(mutations.setDesiredState, { input: { id, desired: { [key]: true } } })),
    );
    expect(codesOf(replies)).toEqual(keys.map(() => undefined));
    expect((await readDevice(world, id))?.desiredState).toEqual({
      values: Object.fromEntries(keys.map((key) => [key, true])),
      version: 40,
    });
    await expectNoGap(id, 41);
  });

  it('of different kinds keep each what the others did', async () => {
    const { device } = await register(world);
    const { id } = device;
    const replies = await Promise.all([
      world.graphql(mutations.updateDevice, { input: { id, name: 'Renamed' } }),
      world.graphql(mutations.updateDevice, { input: { id, labels: [{ key: 'a', value: 'b' }] } }),
      world.graphql(mutations.setDesiredState, { input: { id, desired: { x: 1 } } }),
      world.graphql(mutations.rotateDeviceCredentials, { input: { id } }),
    ]);
    expect(codesOf(replies)).toEqual([undefined, undefined, undefined, undefined]);
    const after = await readDevice(world, id);
    expect(after).toMatchObject({ name: 'Renamed', labels: [{ key: 'a', value: 'b' }], revision: 5 });
    expect(after?.desiredState.values).toEqual({ x: 1 });
    await expectNoGap(id, 5);
  });

  it('leave of several rotations one password in force: that of the last event', async () => {
    const { device } = await register(world);
    const replies = await Promise.all(
      Array.from({ length: 5 }, () => mutate(world, 'rotateDeviceCredentials', { id: device.id })),
    );
    const tokens = (await world.history(`device-${device.id}`)).map(({ id }) => id);
    const works = async (reply: Registered) =>
      (await world.directory.authenticate(credentialsIn(reply))) === undefined ? [] : [reply.consistencyToken];
    const inForce = (await Promise.all(replies.map(works))).flat();
    expect(inForce).toEqual([Buffer.from(JSON.stringify({ e: tokens.at(-1) })).toString('base64url')]);
  });

  it('decommission a device once, and what is later than that is refused', async () => {
    const { device } = await register(world);
    const { id } = device;
    const replies = await Promise.all([
      world.graphql(mutations.decommissionDevice, { input: { id } }),
      world.graphql(mutations.decommissionDevice, { input: { id } }),
      world.graphql(mutations.updateDevice, { input: { id, name: 'x' } }),
      world.graphql(mutations.rotateDeviceCredentials, { input: { id } }),
    ]);
    expect(codesOf(replies.slice(0, 2))).toEqual([undefined, undefined]);
    const types = (await world.history(`device-${id}`)).map(({ type }) => type);
    expect(types.at(-1)).toBe('io.fleetgraph.device.decommissioned.v1');
    expect(types.filter((type) => type.includes('decommissioned'))).toHaveLength(1);
    const { rows } = await world.database.pool.query(
      'SELECT 1 FROM device.credentials WHERE device_id = $1 AND revoked_at IS NULL',
      [id],
    );
    expect(rows).toEqual([]);
  });
});
