import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { mutate, register } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

async function newDevice(): Promise<string> {
  return (await register(world, { name: 'Present' })).device.id;
}

async function hear(deviceId: string, online: boolean, session: number, tenant = 'acme'): Promise<void> {
  await world.signal({
    type: 'io.fleetgraph.presence.changed.v1',
    subject: deviceId,
    tenant,
    data: { deviceId, online, session, at: session, reason: online ? 'connected' : 'disconnected' },
  });
}

/** As the bridge does when it starts, in the partition of each of these devices. */
async function reset(session: number, devices: readonly string[]): Promise<void> {
  for (const subject of devices)
    await world.signal({
      type: 'io.fleetgraph.presence.reset.v1',
      subject,
      tenant: '*',
      data: { session, at: session },
    });
}

async function online(): Promise<readonly string[]> {
  const { devices } = await world.data<{ devices: { edges: { node: { id: string } }[] } }>(
    '{ devices(first: 200, filter: { online: true }) { edges { node { id } } } }',
  );
  return devices.edges.map(({ node }) => node.id);
}

/** Whether each of the devices is online once everything that was said has been heard. */
async function settled(...ids: readonly string[]): Promise<readonly boolean[]> {
  await world.heard();
  const now = await online();
  return ids.map((id) => now.includes(id));
}

describe('the filter "online"', () => {
  it('follows what is heard of a device', async () => {
    const id = await newDevice();
    expect(await settled(id)).toEqual([false]);
    await hear(id, true, 1_000);
    expect(await settled(id)).toEqual([true]);
    await hear(id, false, 1_000);
    expect(await settled(id)).toEqual([false]);
    await hear(id, true, 2_000);
    expect(await settled(id)).toEqual([true]);
  });

  it('is not changed by what is late, repeated or out of order', async () => {
    const [one, two, three] = [await newDevice(), await newDevice(), await newDevice()];
    await hear(one, true, 2_000);
    await hear(one, false, 1_000);
    await hear(one, true, 2_000);
    await hear(two, false, 2_000);
    await hear(two, true, 2_000);
    await hear(two, true, 1_000);
    await hear(three, true, 1_000);
    await hear(three, false, 1_000);
    await world.heard();
    await hear(three, true, 1_000);
    expect(await settled(one, two, three)).toEqual([true, false, false]);
    // Once more, each as a batch of its own.
    await hear(one, false, 1_999);
    await world.heard();
    await hear(two, true, 2_000);
    expect(await settled(one, two)).toEqual([true, false]);
  });

  it('takes a device offline by the end of a session whose begin was missed', async () => {
    const id = await newDevice();
    await hear(id, true, 1_000);
    await hear(id, false, 2_000);
    await hear(id, true, 1_500);
    expect(await settled(id)).toEqual([false]);
  });

  it('takes those offline that were connected before the broker began, and leaves those after', async () => {
    const [before, after, late] = [await newDevice(), await newDevice(), await newDevice()];
    await hear(before, true, 5_000_000);
    await hear(after, true, 5_000_002);
    await hear(late, true, 4_999_000);
    expect(await settled(before, after, late)).toEqual([true, true, true]);
    await reset(5_000_001, [before, after, late]);
    expect(await settled(before, after, late)).toEqual([false, true, false]);
    // News of a connection that the former broker had is late, however new it is for this device.
    await hear(late, true, 5_000_000);
    await hear(before, true, 5_000_001);
    expect(await settled(before, after, late)).toEqual([true, true, false]);
  });

  it('keeps to the order of connections and resets that come in one batch', async () => {
    const [gone, back] = [await newDevice(), await newDevice()];
    await Promise.all([hear(gone, true, 6_000_000), hear(back, true, 6_000_000)]);
    await reset(6_000_001, [gone, back]);
    await hear(back, true, 6_000_002);
    expect(await settled(gone, back)).toEqual([false, true]);
  });

  it('does not believe another tenant, and what it says hides nothing', async () => {
    const id = await newDevice();
    await hear(id, true, 9_000_000);
    await hear(id, false, 9_000_001, 'globex');
    expect(await settled(id)).toEqual([true]);
  });

  it('hears of devices that are not there without harm', async () => {
    await hear('dev_absent', true, 1_000);
    const id = await newDevice();
    await hear(id, true, 9_000_000);
    expect(await settled(id)).toEqual([true]);
    expect(await world.deadLetters('dev_absent')).toBe(0);
  });

  it('is no change of the device: no revision, no event', async () => {
    const { device } = await register(world);
    await hear(device.id, true, 9_500_000);
    expect(await settled(device.id)).toEqual([true]);
    const { device: after } = await mutate(world, 'updateDevice', { id: device.id, expectedRevision: 1 });
    expect(after.revision).toBe(2);
    expect(await world.history(`device-${device.id}`)).toHaveLength(2);
    expect(await settled(device.id)).toEqual([true]);
  });
});
