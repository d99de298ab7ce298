import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { credentialsIn, mutate, mutations, readDevice, register } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
  // An append to the stream of a name that begins so fails: as if PostgreSQL had, after the write model was written.
  await world.database.pool.query(`
    CREATE FUNCTION public.refuse_some() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN
        IF NEW.data->>'name' LIKE 'doomed%' THEN RAISE EXCEPTION 'refused for the test'; END IF;
        RETURN NEW;
      END $$;
    CREATE TRIGGER refused BEFORE INSERT ON events.events FOR EACH ROW EXECUTE FUNCTION public.refuse_some()`);
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** Puts an event into the stream that the registry knows nothing of, where its next one would come. */
async function occupy(stream: string, revision: number): Promise<void> {
  await world.database.pool.query(
    `INSERT INTO events.events (tenant, stream, revision, id, type, source, subject, time, data)
     VALUES ('acme', $1, $2, gen_random_uuid(), 'io.fleetgraph.device.decommissioned.v1', '/test', 'x', now(), '{}')`,
    [stream, revision],
  );
}

describe('when the event can not be appended', () => {
  it('nothing is left of a registration, not even its idempotency key', async () => {
    const as = { tenant: 'fresh' };
    const before = await world.census();
    const input = { name: 'doomed', typeId: 'generic', labels: [{ key: 'a', value: 'b' }], idempotencyKey: 'k' };
    expect(await world.refusal(mutations.registerDevice, { input }, as)).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
    expect(await world.census()).toEqual(before);
    // The key is free: the same request could succeed now, and this one is another.
    expect(credentialsIn(await register(world, { idempotencyKey: 'k' }, as))).toBeDefined();
  });

  it('nothing is left of a bulk registration, though only one of the events was refused', async () => {
    const before = await world.census();
    const devices = ['fine', 'doomed', 'fine too'].map((name) => ({ name, typeId: 'generic' }));
    const input = { devices, idempotencyKey: 'bulk' };
    expect(await world.refusal(mutations.registerDevices, { input })).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
    // The type generic would have been made in the same transaction.
    expect(await world.census()).toEqual(before);
  });

  it('nothing is left of an update, labels included', async () => {
    const { device } = await register(world, { labels: [{ key: 'a', value: '1' }] });
    const before = await world.census();
    const input = { id: device.id, name: 'doomed', labels: [{ key: 'b', value: '2' }], idempotencyKey: 'u' };
    expect(await world.refusal(mutations.updateDevice, { input })).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
    expect(await readDevice(world, device.id)).toEqual(device);
    expect(await world.census()).toEqual(before);
  });

  it('nothing is left of the definition of a type', async () => {
    await mutate(world, 'defineDeviceType', { id: 'lasting', name: 'Lasting' });
    const before = await world.census();
    for (const id of ['lasting', 'new'])
      expect(await world.refusal(mutations.defineDeviceType, { input: { id, name: 'doomed' } })).toEqual({
        code: 'INTERNAL_SERVER_ERROR',
      });
    expect(await world.census()).toEqual(before);
    expect(await world.data('{ deviceType(id: "lasting") { name revision } }')).toEqual({
      deviceType: { name: 'Lasting', revision: 1 },
    });
  });
});

describe('when the stream has an event that the registry did not see', () => {
  it.each([
    ['updateDevice', { name: 'x' }],
    ['decommissionDevice', {}],
    ['rotateDeviceCredentials', {}],
    ['setDesiredState', { desired: { a: 1 } }],
  ] as const)('%s is a conflict, and nothing is left of it', async (name, more) => {
    const reply = await register(world);
    const { device } = reply;
    await occupy(`device-${device.id}`, 2);
    const before = await world.census();
    const input = { id: device.id, ...more, idempotencyKey: `occupied ${name}` };
    expect(await world.refusal(mutations[name], { input })).toEqual({ code: 'CONFLICT' });
    expect(await world.census()).toEqual(before);
    expect(await readDevice(world, device.id)).toEqual(device);
    // The password is still the first, and not revoked.
    expect(await world.directory.authenticate(credentialsIn(reply))).toBeDefined();
  });

  it('the definition of a type is a conflict, and nothing is left of it', async () => {
    await occupy('device-type-taken', 1);
    const before = await world.census();
    expect(await world.refusal(mutations.defineDeviceType, { input: { id: 'taken', name: 'x' } })).toEqual({
      code: 'CONFLICT',
    });
    expect(await world.census()).toEqual(before);
  });
});
