import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isStorableText } from '../../../../platform/database/storable.js';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { deviceFields, mutate, mutations, readDevice, register, type Changed } from '../operations.js';

let world: DeviceWorld;

beforeAll(async () => {
  world = await createDeviceWorld();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const hostile = [
  "'; DROP TABLE device.devices; --",
  '" OR ""="',
  '$1 $2 $$',
  '\\',
  '\\u0000',
  '%s %d {} ${x}',
  '<script>alert(1)</script>',
  'Ünïcödé ЖЖ 漢字 עברית',
  '👩‍👩‍👧‍👦 🏳️‍🌈',
  'e\u0301 \u200b\u202e\ufeff',
  '\u0001\u001f\u007f',
  'constructor',
  'null',
];

describe('text that looks like something else', () => {
  it.each(hostile)('is kept as it is: %j', async (text) => {
    const name = `x${text}x`;
    const labels = [{ key: 'k', value: text }];
    const { device } = await register(world, { name, labels, idempotencyKey: `key ${text}` });
    expect(await readDevice(world, device.id)).toMatchObject({ name, labels });
    const desired = { [text]: text, list: [{ [text]: [text] }] };
    await mutate(world, 'setDesiredState', { id: device.id, desired });
    const twin = (await readDevice(world, device.id))?.desiredState.values;
    expect(JSON.stringify(Object.entries(twin as object).sort())).toBe(JSON.stringify(Object.entries(desired).sort()));
    const history = await world.history(`device-${device.id}`);
    expect(history.map(({ data }) => data)).toEqual([
      { deviceId: device.id, name, typeId: 'generic', labels: { k: text } },
      { deviceId: device.id, desired, version: 1 },
    ]);
    const { devices } = await world.data<{ devices: { edges: { node: { id: string } }[] } }>(
      'query S($search: String) { devices(filter: { search: $search }) { edges { node { id } } } }',
      { search: name },
    );
    expect(devices.edges).toEqual([{ node: { id: device.id } }]);
  });

  it('is kept in a label whose key is "__proto__"', async () => {
    const labels = [{ key: '__proto__', value: 'x' }];
    const { device } = await register(world, { labels });
    expect((await readDevice(world, device.id))?.labels).toEqual(labels);
    const [event] = await world.history(`device-${device.id}`);
    expect(Object.entries(event?.data['labels'] as object)).toEqual([['__proto__', 'x']]);
  });

  it('is kept in a desired state whose members are called "__proto__" and "constructor"', async () => {
    const { device } = await register(world);
    // In the text of the query: a body of JSON with such a member is refused before it is read as GraphQL.
    const { setDesiredState } = await world.data<{ setDesiredState: Changed }>(
      `mutation { setDesiredState(input: { id: "${device.id}", desired: { __proto__: { b: 2 }, constructor: 3 } })
         { device { ${deviceFields} } } }`,
    );
    const members = (state: unknown) => JSON.stringify(Object.entries(state as object).sort());
    const expected = '[["__proto__",{"b":2}],["constructor",3]]';
    expect(members(setDesiredState.device.desiredState.values)).toBe(expected);
    expect(members((await world.history(`device-${device.id}`))[1]?.data['desired'])).toBe(expected);
  });
});

/** Whether a body of JSON has a member that would change the prototype of what it is copied into: those are not read at all. */
function isRefusedUnread(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(
    ([name, member]: [string, unknown]) =>
      (!Array.isArray(value) && name === '__proto__') ||
      (name === 'constructor' && typeof member === 'object' && member !== null && Object.hasOwn(member, 'prototype')) ||
      isRefusedUnread(member),
  );
}

describe('whatever is sent', () => {
  it('as a name is kept exactly, trimmed, or refused for a reason, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 20 }), async (name) => {
        const reply = await world.graphql<{ registerDevice: Changed }>(mutations.registerDevice, {
          input: { name, typeId: 'generic' },
        });
        if (name.trim() === '' || !isStorableText(name.trim()))
          expect(reply.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field: 'input.name' });
        else expect(reply.data?.registerDevice.device.name).toBe(name.trim());
      }),
      { numRuns: 60 },
    );
  });

  it('as a desired state is kept exactly, or refused for a reason, and nothing else', async () => {
    const { device } = await register(world);
    const { id } = device;
    const state = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' }), { maxKeys: 5 });
    await fc.assert(
      fc.asyncProperty(state, async (generated) => {
        // What the wire makes of it: -0 is 0 there.
        const desired = JSON.parse(JSON.stringify(generated)) as Record<string, unknown>;
        const input = { id, desired, merge: false };
        const reply = await world.graphql<{ setDesiredState: Changed }>(mutations.setDesiredState, { input });
        if (isRefusedUnread(desired)) expect(reply).toMatchObject({ error: { code: 'BAD_USER_INPUT' } });
        else if (/\\u0000|\\ud[89a-f]/.test(JSON.stringify(desired)))
          expect(reply.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field: 'input.desired' });
        else expect(reply.data?.setDesiredState.device.desiredState.values).toEqual(desired);
      }),
      { numRuns: 60, examples: [[JSON.parse('{"":{"__proto__":0}}')]] },
    );
  });

  it('as an id finds nothing and fails nowhere', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), async (id) => {
        expect(await readDevice(world, id)).toBeNull();
      }),
      { numRuns: 40 },
    );
  });
});
