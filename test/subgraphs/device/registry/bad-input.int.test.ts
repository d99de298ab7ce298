import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceWorld, type DeviceWorld } from '../device-world.js';
import { mutate, mutations, readDevice, register, type DeviceView } from '../operations.js';

let world: DeviceWorld;
let device: DeviceView;

beforeAll(async () => {
  world = await createDeviceWorld();
  ({ device } = await register(world));
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const label = (key: string, value = '') => ({ key, value });
const many = (count: number) => Array.from({ length: count }, (_, n) => label(`k${n}`));
const nested = (levels: number): unknown => (levels === 0 ? 1 : { a: nested(levels - 1) });
const metric = (name: string, more = {}) => ({ name, kind: 'NUMBER', ...more });

/** Mutation, what is wrong in an input that is right otherwise, and the field that must be named. */
const faults: readonly (readonly [keyof typeof mutations, Readonly<Record<string, unknown>>, string])[] = [
  ['registerDevice', { name: '' }, 'input.name'],
  ['registerDevice', { name: ' \t\n ' }, 'input.name'],
  ['registerDevice', { name: 'x'.repeat(201) }, 'input.name'],
  ['registerDevice', { name: 'a\u0000b' }, 'input.name'],
  ['registerDevice', { name: 'a\ud83d' }, 'input.name'],
  ['registerDevice', { typeId: '' }, 'input.typeId'],
  ['registerDevice', { typeId: 'x'.repeat(129) }, 'input.typeId'],
  ['registerDevice', { typeId: 'a\u0000' }, 'input.typeId'],
  ['registerDevice', { labels: many(65) }, 'input.labels'],
  ['registerDevice', { labels: [label('a'), label('')] }, 'input.labels[1].key'],
  ['registerDevice', { labels: [label('x'.repeat(64))] }, 'input.labels[0].key'],
  ['registerDevice', { labels: [label('ä')] }, 'input.labels[0].key'],
  ['registerDevice', { labels: [label('a\n')] }, 'input.labels[0].key'],
  ['registerDevice', { labels: [label('a'), label('b'), label('a', 'c')] }, 'input.labels[2].key'],
  ['registerDevice', { labels: [label('a', 'x'.repeat(256))] }, 'input.labels[0].value'],
  ['registerDevice', { labels: [label('a', '\udc00')] }, 'input.labels[0].value'],
  ['registerDevice', { idempotencyKey: '' }, 'input.idempotencyKey'],
  ['registerDevice', { idempotencyKey: 'x'.repeat(201) }, 'input.idempotencyKey'],
  ['registerDevice', { idempotencyKey: '\u0000' }, 'input.idempotencyKey'],
  ['registerDevices', { idempotencyKey: '' }, 'input.idempotencyKey'],
  ['updateDevice', { name: '' }, 'input.name'],
  ['updateDevice', { typeId: '' }, 'input.typeId'],
  ['updateDevice', { labels: [label('a b')] }, 'input.labels[0].key'],
  ['updateDevice', { id: '' }, 'input.id'],
  ['updateDevice', { id: '\ud800' }, 'input.id'],
  ['decommissionDevice', { id: 'a\u0000' }, 'input.id'],
  ['rotateDeviceCredentials', { id: 'x'.repeat(129) }, 'input.id'],
  ['rotateDeviceCredentials', { idempotencyKey: '' }, 'input.idempotencyKey'],
  ...[1, 'x', true, [], [{}]].map((desired) => ['setDesiredState', { desired }, 'input.desired'] as const),
  ['setDesiredState', { desired: { a: 'x'.repeat(65_536) } }, 'input.desired'],
  ['setDesiredState', { desired: { a: 'ä'.repeat(32_768) } }, 'input.desired'],
  ['setDesiredState', { desired: nested(40) }, 'input.desired'],
  ['setDesiredState', { desired: { a: [{ b: 'x\u0000' }] } }, 'input.desired'],
  ['setDesiredState', { desired: { 'a\ud800': 1 } }, 'input.desired'],
  ['setDesiredState', { id: '' }, 'input.id'],
  ['defineDeviceType', { id: '' }, 'input.id'],
  ['defineDeviceType', { id: 'a b' }, 'input.id'],
  ['defineDeviceType', { id: 'a/b' }, 'input.id'],
  ['defineDeviceType', { id: 'x'.repeat(65) }, 'input.id'],
  ['defineDeviceType', { name: '  ' }, 'input.name'],
  ['defineDeviceType', { description: 'x'.repeat(2_001) }, 'input.description'],
  ['defineDeviceType', { metrics: [metric('')] }, 'input.metrics[0].name'],
  ['defineDeviceType', { metrics: [metric('a'), metric('x'.repeat(129))] }, 'input.metrics[1].name'],
  ['defineDeviceType', { metrics: [metric('a'), metric('a')] }, 'input.metrics[1].name'],
  ['defineDeviceType', { metrics: [metric('a\u0000')] }, 'input.metrics[0].name'],
  ['defineDeviceType', { metrics: [metric('a', { unit: 'x'.repeat(33) })] }, 'input.metrics[0].unit'],
  ['defineDeviceType', { metrics: [metric('a', { description: '\ud800' })] }, 'input.metrics[0].description'],
  ['defineDeviceType', { metrics: Array.from({ length: 501 }, (_, n) => metric(`m${n}`)) }, 'input.metrics'],
  ['defineDeviceType', { decoder: '' }, 'input.decoder'],
  ['defineDeviceType', { decoder: 'JSON' }, 'input.decoder'],
];

/** What is right in each input. */
const right = (name: keyof typeof mutations): Readonly<Record<string, unknown>> => {
  switch (name) {
    case 'registerDevice':
      return { name: 'x', typeId: 'generic' };
    case 'registerDevices':
      return { devices: [{ name: 'x', typeId: 'generic' }] };
    case 'setDesiredState':
      return { id: device.id, desired: {} };
    case 'defineDeviceType':
      return { id: 'type', name: 'x' };
    default:
      return { id: device.id };
  }
};

describe('an input that is wrong', () => {
  it.each(faults.map(([name, part, field]) => [name, field, JSON.stringify(part).slice(0, 60), part] as const))(
    '%s names %s for %s, and changes nothing',
    async (name, field, _, part) => {
      const before = await world.census();
      const refusal = await world.refusal(mutations[name], { input: { ...right(name), ...part } });
      expect(refusal).toEqual({ code: 'BAD_USER_INPUT', field });
      expect(await world.census()).toEqual(before);
      expect(await readDevice(world, device.id)).toEqual(device);
    },
  );

  it.each<readonly [string, Readonly<Record<string, unknown>>]>([
    ['a name that is null', { name: null }],
    ['a field that there is not', { tenant: 'globex' }],
    ['a name that is a number', { name: 5 }],
    ['a label that is null', { labels: [null] }],
  ])('is refused by the schema for %s', async (_, part) => {
    const refusal = await world.refusal(mutations.registerDevice, { input: { ...right('registerDevice'), ...part } });
    expect(refusal).toEqual({ code: 'BAD_USER_INPUT' });
  });

  it('is told to people in a sentence that says what would be right', async () => {
    const { errors } = await world.graphql(mutations.registerDevice, { input: { name: '', typeId: 'generic' } });
    expect(errors?.[0]?.message).toBe('input.name must have 1 to 200 characters.');
  });
});

describe('the limits', () => {
  it('are inside: the longest that is allowed is taken', async () => {
    const input = {
      name: 'x'.repeat(200),
      labels: [label('x'.repeat(63), 'y'.repeat(255)), ...many(63)],
      idempotencyKey: 'z'.repeat(200),
    };
    const { device: largest } = await register(world, input);
    expect(largest).toMatchObject({ name: input.name });
    expect(largest.labels).toHaveLength(64);
    const desired = { a: 'x'.repeat(65_536 - 8) };
    const { device: after } = await mutate(world, 'setDesiredState', { id: largest.id, desired });
    expect(after.desiredState.values).toEqual(desired);
    const metrics = Array.from({ length: 500 }, (_, n) => metric(`m${n}`, { unit: 'u'.repeat(32) }));
    const { deviceType } = await mutate(world, 'defineDeviceType', { id: 'x'.repeat(64), name: 'x', metrics });
    expect(deviceType.metrics).toHaveLength(500);
  });

  it('of a desired state hold for what it becomes by merging, too', async () => {
    const { device: own } = await register(world);
    const { id } = own;
    const half = (key: string) => ({ input: { id, desired: { [key]: 'x'.repeat(40_000) } } });
    await mutate(world, 'setDesiredState', half('a').input);
    const refused = { code: 'BAD_USER_INPUT', field: 'input.desired' };
    expect(await world.refusal(mutations.setDesiredState, half('b'))).toEqual(refused);
    await mutate(world, 'setDesiredState', { id, desired: { a: null, b: 'x'.repeat(40_000) } });
    await mutate(world, 'setDesiredState', { ...half('c').input, merge: false });
    expect((await readDevice(world, id))?.desiredState.version).toBe(3);
  });
});
