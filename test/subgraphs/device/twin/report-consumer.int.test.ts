import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld, type Reply } from '../device-world.js';
import { mutate, mutations, readDevice, register, type DeviceView } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const t0 = Date.parse('2026-11-23T10:00:00.000Z');

async function newDevice(): Promise<string> {
  return (await register(world)).device.id;
}

/** The device says that it is this, `afterMs` after `t0`. @returns the id of the signal. */
function report(deviceId: string, afterMs: number, reported: unknown, more = {}): Promise<string> {
  return world.signal({
    type: 'io.fleetgraph.device.state-reported.v1',
    subject: deviceId,
    data: { deviceId, reported: reported as Record<string, never>, at: t0 + afterMs },
    ...more,
  });
}

async function twinOf(id: string): Promise<DeviceView['reportedState'] | undefined> {
  await world.heard();
  return (await readDevice(world, id))?.reportedState;
}

const reportsOf = async (id: string) =>
  (await world.history(`device-${id}`)).filter(({ type }) => type.includes('reported-state-changed'));

const at = (afterMs: number): string => new Date(t0 + afterMs).toISOString();

describe('what a device reports', () => {
  it('is merged into its twin, with the time of the report and an event that the signal caused', async () => {
    const id = await newDevice();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await report(id, 0, { mode: 'eco', fan: { speed: 1 } });
    const signal = await report(id, 1_000, { mode: null, fan: { on: true } }, { traceparent, correlationid: 'c1' });
    expect(await twinOf(id)).toEqual({ values: { fan: { speed: 1, on: true } }, version: 2, at: at(1_000) });
    expect(await readDevice(world, id)).toMatchObject({ revision: 3, desiredState: { values: {}, version: 0 } });
    expect((await reportsOf(id))[1]).toMatchObject({
      revision: 3,
      tenant: 'acme',
      subject: id,
      source: '/device',
      actor: null,
      causationId: signal,
      correlationId: 'c1',
      traceparent,
      time: new Date(t0 + 1_000),
      data: { deviceId: id, reported: { fan: { speed: 1, on: true } }, version: 2 },
    });
  });

  it('is set against what is desired: the difference, and whether there is none', async () => {
    const id = await newDevice();
    const twin = async () => {
      const query = `query Q($id: ID!) { device(id: $id) { twin {
        desired { state version updatedAt } reported { state version updatedAt } delta inSync } } }`;
      return (await world.data<{ device: { twin: Record<string, unknown> } }>(query, { id })).device.twin;
    };
    const nothing = { state: {}, version: 0, updatedAt: null };
    expect(await twin()).toEqual({ desired: nothing, reported: nothing, delta: {}, inSync: true });
    const { device } = await mutate(world, 'setDesiredState', { id, desired: { mode: 'eco', fan: { speed: 2 } } });
    await report(id, 0, { mode: 'eco', fan: { speed: 1 }, own: true });
    await world.heard();
    expect(await twin()).toEqual({
      desired: { state: { mode: 'eco', fan: { speed: 2 } }, version: 1, updatedAt: device.updatedAt },
      reported: { state: { mode: 'eco', fan: { speed: 1 }, own: true }, version: 1, updatedAt: at(0) },
      delta: { fan: { speed: 2 } },
      inSync: false,
    });
    await report(id, 1_000, { fan: { speed: 2 } });
    await world.heard();
    expect(await twin()).toMatchObject({ delta: {}, inSync: true });
  });

  it('is dropped when it is late, or here again', async () => {
    const id = await newDevice();
    await report(id, 2_000, { n: 2 });
    await report(id, 1_000, { n: 1, late: true });
    await report(id, 2_000, { n: 2, again: true });
    expect(await twinOf(id)).toEqual({ values: { n: 2 }, version: 1, at: at(2_000) });
    await report(id, 2_001, { n: 3 });
    await report(id, 2_000, { n: 2 });
    expect(await twinOf(id)).toEqual({ values: { n: 3 }, version: 2, at: at(2_001) });
    expect(await reportsOf(id)).toHaveLength(2);
  });

  it('is handled once when its signal is published twice', async () => {
    const id = await newDevice();
    const signal = await report(id, 0, { n: 1 });
    await report(id, 0, { n: 1 }, { id: signal });
    expect(await twinOf(id)).toMatchObject({ version: 1 });
    expect(await reportsOf(id)).toHaveLength(1);
  });

  it('keeps the order of many in one batch', async () => {
    const id = await newDevice();
    for (let n = 0; n < 30; n += 1) await report(id, n, { [`k${n % 3}`]: n });
    expect(await twinOf(id)).toEqual({ values: { k0: 27, k1: 28, k2: 29 }, version: 30, at: at(29) });
    expect((await reportsOf(id)).map(({ revision }) => revision)).toEqual(Array.from({ length: 30 }, (_, n) => n + 2));
  });

  it('is not believed of a device of another tenant, of one that is not there, or decommissioned', async () => {
    const [id, ended] = [await newDevice(), await newDevice()];
    await mutate(world, 'decommissionDevice', { id: ended });
    await report(id, 0, { stolen: true }, { tenant: 'globex' });
    await report('dev_absent', 0, { n: 1 });
    await report(ended, 0, { n: 1 });
    const nothing = { values: {}, version: 0, at: null };
    expect(await twinOf(id)).toEqual(nothing);
    expect(await twinOf(ended)).toEqual(nothing);
    for (const about of [id, ended, 'dev_absent']) expect(await world.deadLetters(about)).toBe(0);
  });

  it('changes a device at the same time as people do, and nothing is lost', async () => {
    const id = await newDevice();
    const changes = Array.from({ length: 15 }, (_, n) => n);
    const replies = await Promise.all([
      ...changes.map((n) => world.graphql(mutations.setDesiredState, { input: { id, desired: { [`d${n}`]: n } } })),
      (async (): Promise<Reply<unknown>> => {
        for (const n of changes) await report(id, n, { [`r${n}`]: n });
        return {};
      })(),
    ]);
    expect(replies.flatMap(({ errors }) => errors ?? [])).toEqual([]);
    expect(Object.keys((await twinOf(id))?.values as object)).toHaveLength(15);
    const device = await readDevice(world, id);
    expect(device).toMatchObject({ revision: 31, desiredState: { version: 15 }, reportedState: { version: 15 } });
    expect(Object.keys(device?.desiredState.values as object)).toHaveLength(15);
    expect((await world.history(`device-${id}`)).map(({ revision }) => revision)).toEqual(
      Array.from({ length: 31 }, (_, n) => n + 1),
    );
    expect(await world.deadLetters(id)).toBe(0);
  });

  it('does not put the time of the last change back', async () => {
    const { device } = await register(world);
    await report(device.id, 0, { n: 1 });
    await world.heard();
    const after = await readDevice(world, device.id);
    expect(Date.parse(after?.updatedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(device.updatedAt));
  });

  it('goes to the dead letters at the first attempt when the state would be too large, and holds up nobody', async () => {
    const [full, other] = [await newDevice(), await newDevice()];
    await report(full, 0, { kept: 'x'.repeat(40_000) });
    expect(await twinOf(full)).toMatchObject({ version: 1 });
    for (let n = 1; n <= 5; n += 1) {
      await report(full, n * 1_000, { more: 'y'.repeat(40_000) });
      await report(other, n * 1_000, { n });
    }
    await report(full, 6_000, { small: 1 });
    await world.heard();
    expect(await twinOf(full)).toEqual({ values: { kept: 'x'.repeat(40_000), small: 1 }, version: 2, at: at(6_000) });
    expect(await twinOf(other)).toMatchObject({ values: { n: 5 }, version: 5 });
    const { rows } = await world.database.pool.query<{ attempts: number }>(
      'SELECT attempts FROM dead_letters.dead_letters WHERE key = $1',
      [full],
    );
    expect(rows.map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1, 1]);
  });
});
