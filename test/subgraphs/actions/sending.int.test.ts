import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { topics } from '../../../backbone/bus/topics.js';
import { eventIdOf } from '../../../backbone/events/consistency-token.js';
import { eventually } from '../../world/eventually.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from './actions-world.js';
import { cancelMutation, read, send, sendMutation, type Sent } from './operations.js';

let world: ActionsWorld;
let actions: ActionsInstance;
let deviceId: string;
beforeAll(async () => {
  world = await createActionsWorld();
  actions = await world.startInstance();
  deviceId = await world.register();
});
afterAll(() => world[Symbol.asyncDispose]());

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

test('a command is stored with its event in one step, and the token names that event', async () => {
  const before = Date.now();
  const { command, consistencyToken } = await send(
    actions,
    { deviceId, parameters: { celsius: 21, deep: [null, { a: true }] }, timeToLive: 'PT2M' },
    { headers: { traceparent, 'x-correlation-id': 'request-7' } },
  );
  expect(command).toMatchObject({
    deviceId,
    name: 'setpoint',
    status: 'QUEUED',
    parameters: { celsius: 21, deep: [null, { a: true }] },
    sentAt: null,
    deliveredAt: null,
    completedAt: null,
    result: null,
    error: null,
  });
  expect(Date.parse(command.expiresAt) - Date.parse(command.createdAt)).toBe(120_000);
  expect(Date.parse(command.createdAt)).toBeGreaterThanOrEqual(before);
  expect(await read(actions, command.id)).toEqual(command);

  const history = await world.history(command.id);
  expect(history).toEqual([
    {
      id: eventIdOf(consistencyToken),
      type: 'io.fleetgraph.command.requested.v1',
      revision: 1,
      tenant: 'acme',
      subject: deviceId,
      source: '/actions',
      actor: 'tester',
      time: command.createdAt,
      traceparent,
      correlationId: 'request-7',
      causationId: null,
      data: {
        commandId: command.id,
        deviceId,
        name: 'setpoint',
        parameters: command.parameters,
        expiresAt: command.expiresAt,
      },
    },
  ]);
});

test('parameters and time to live have defaults: none, and one minute', async () => {
  const { command } = await send(actions, { deviceId });
  expect(command.parameters).toEqual({});
  expect(Date.parse(command.expiresAt) - Date.parse(command.createdAt)).toBe(60_000);
  const { command: withNulls } = await send(actions, { deviceId, parameters: null, timeToLive: null });
  expect(withNulls.parameters).toEqual({});
});

describe('a device type that defines its commands', () => {
  const parametersSchema = {
    type: 'object',
    properties: { celsius: { type: 'number', maximum: 90 }, steps: { items: { required: ['at'] } } },
    required: ['celsius'],
    additionalProperties: false,
  };
  let boiler: string;
  beforeAll(async () => {
    const typeId = `boiler-${randomUUID()}`;
    boiler = await world.register('acme', randomUUID(), { typeId });
    await world.defineType(typeId, [{ name: 'setpoint', parametersSchema }, { name: 'reset' }]);
  });

  test('takes those with parameters that are right', async () => {
    // The type is heard of after the device, which waits for it: a command never slips through unchecked.
    expect((await send(actions, { deviceId: boiler, parameters: { celsius: 21 } })).command.status).toBe('QUEUED');
    expect((await send(actions, { deviceId: boiler, name: 'reset', parameters: { any: 1 } })).command.name).toBe(
      'reset',
    );
  });

  test.each([
    [{ celsius: '21' }, 'input.parameters.celsius', 'must be number'],
    [{ celsius: 91 }, 'input.parameters.celsius', 'must be <= 90'],
    [{}, 'input.parameters.celsius', 'is missing'],
    [{ celsius: 21, fahrenheit: 70 }, 'input.parameters.fahrenheit', 'is not one of the parameters'],
    [{ celsius: 21, steps: [{ at: 1 }, {}] }, 'input.parameters.steps[1].at', 'is missing'],
  ])('refuses %j at its place, and stores nothing', async (parameters, field, reason) => {
    const input = { deviceId: boiler, name: 'setpoint', parameters };
    const { errors } = await actions.graphql(sendMutation, { input });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field } }]);
    expect(errors?.[0]?.message).toContain(reason);
  });

  test('refuses a command that it does not define, and names those that it does', async () => {
    const { errors } = await actions.graphql(sendMutation, { input: { deviceId: boiler, name: 'explode' } });
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field: 'input.name' } }]);
    expect(errors?.[0]?.message).toContain('"setpoint", "reset"');
  });

  test('is followed when it changes', async () => {
    const typeId = `pump-${randomUUID()}`;
    const pump = await world.register('acme', randomUUID(), { typeId });
    await world.defineType(typeId, []);
    await send(actions, { deviceId: pump });
    await world.defineType(typeId, [{ name: 'stop' }]);
    await eventually(async () => {
      const { errors } = await actions.graphql(sendMutation, { input: { deviceId: pump, name: 'setpoint' } });
      expect(errors).toMatchObject([{ extensions: { field: 'input.name' } }]);
    });
  });
});

describe('idempotency', () => {
  test('a repetition gets the first command and token again, as the command is by then, and sends nothing', async () => {
    const idempotencyKey = randomUUID();
    const input = { deviceId, parameters: { a: 1, b: { c: 2 } }, idempotencyKey };
    const first = await send(actions, input);
    await actions.data(cancelMutation, { input: { id: first.command.id } });
    const again = await send(actions, input);
    expect(again.command.id).toBe(first.command.id);
    expect(again.consistencyToken).toBe(first.consistencyToken);
    expect(again.command.status).toBe('CANCELED');
    expect(await world.history(first.command.id)).toHaveLength(2);
  });

  test('the same key with another input is a conflict', async () => {
    const idempotencyKey = randomUUID();
    await send(actions, { deviceId, idempotencyKey });
    const { errors } = await actions.graphql(sendMutation, { input: { deviceId, name: 'other', idempotencyKey } });
    expect(errors?.[0]?.extensions?.code).toBe('CONFLICT');
  });

  test('of many at once with one key, one command comes out', async () => {
    const idempotencyKey = randomUUID();
    const replies = await Promise.all(
      Array.from({ length: 12 }, () => send(actions, { deviceId, idempotencyKey, name: 'at-once' })),
    );
    expect(new Set(replies.map(({ command }) => command.id)).size).toBe(1);
    const { rows } = await world.database.pool.query(`SELECT id FROM actions.commands WHERE name = 'at-once'`);
    expect(rows).toHaveLength(1);
  });

  test('a key belongs to its tenant', async () => {
    const idempotencyKey = randomUUID();
    const foreignDevice = await world.register('globex');
    const mine = await send(actions, { deviceId, idempotencyKey });
    const theirs = await send(actions, { deviceId: foreignDevice, idempotencyKey }, { tenant: 'globex' });
    expect(theirs.command.id).not.toBe(mine.command.id);
  });

  test('a repeated cancellation with its key succeeds again, without one it is a conflict', async () => {
    const { command } = await send(actions, { deviceId });
    const input = { id: command.id, idempotencyKey: randomUUID() };
    const first = await actions.data<{ cancelCommand: Sent }>(cancelMutation, { input });
    expect(await actions.data(cancelMutation, { input })).toEqual(first);
    const { errors } = await actions.graphql(cancelMutation, { input: { id: command.id } });
    expect(errors?.[0]?.extensions?.code).toBe('CONFLICT');
    expect(errors?.[0]?.message).toContain('CANCELED');
  });

  test('a request that failed keeps no key: the corrected one may use it', async () => {
    const idempotencyKey = randomUUID();
    const gone = await world.register();
    await send(actions, { deviceId: gone });
    await world.decommission(gone);
    await eventually(async () => {
      const { errors } = await actions.graphql(sendMutation, { input: { deviceId: gone, name: 'n' } });
      expect(errors?.[0]?.extensions?.code).toBe('CONFLICT');
      expect(errors?.[0]?.message).toContain('decommissioned');
    });
    const refused = await actions.graphql(sendMutation, { input: { deviceId: gone, name: 'n', idempotencyKey } });
    expect(refused.errors?.[0]?.extensions?.code).toBe('CONFLICT');
    expect((await send(actions, { deviceId, idempotencyKey })).command.status).toBe('QUEUED');
  });
});

describe('the device', () => {
  test('one that was registered a moment ago is accepted', async () => {
    const fresh = randomUUID();
    const sending = send(actions, { deviceId: fresh });
    const waited = await Promise.race([
      sending.then(() => 'accepted'),
      world.register('acme', fresh).then(() => 'known'),
    ]);
    expect(waited).toBe('known');
    expect((await sending).command.deviceId).toBe(fresh);
  });

  test('an unknown one is NOT_FOUND after the bounded wait, and names the id', async () => {
    const impatient = await world.startInstance({ CONSISTENCY_TIMEOUT_MS: '300' });
    const unknown = randomUUID();
    const began = Date.now();
    const { errors } = await impatient.graphql(sendMutation, { input: { deviceId: unknown, name: 'n' } });
    expect(errors?.[0]?.extensions).toEqual({ code: 'NOT_FOUND', field: 'input.deviceId' });
    expect(errors?.[0]?.message).toContain(unknown);
    expect(Date.now() - began).toBeGreaterThanOrEqual(290);
    expect(Date.now() - began).toBeLessThan(3_000);
  });

  test("another tenant's is NOT_FOUND in the same words and after the same wait as one that does not exist", async () => {
    const impatient = await world.startInstance({ CONSISTENCY_TIMEOUT_MS: '300' });
    const foreign = await world.register('globex');
    await send(actions, { deviceId: foreign }, { tenant: 'globex' });
    const began = Date.now();
    const { errors } = await impatient.graphql(sendMutation, { input: { deviceId: foreign, name: 'n' } });
    expect(Date.now() - began).toBeGreaterThanOrEqual(290);
    expect(errors?.[0]?.message).toBe(`There is no device ${foreign}. Check the id.`);
    expect(errors?.[0]?.extensions?.code).toBe('NOT_FOUND');
  });

  test('one whose registration is heard again after its end stays decommissioned', async () => {
    const gone = await world.register();
    await send(actions, { deviceId: gone });
    const applied = () =>
      eventually(async () => expect((await world.bus.lag('actions-targets')).get(topics.events)).toBe(0));
    await world.decommission(gone);
    await applied();
    await world.register('acme', gone);
    await applied();
    const { errors } = await actions.graphql(sendMutation, { input: { deviceId: gone, name: 'n' } });
    expect(errors?.[0]?.extensions?.code).toBe('CONFLICT');
    const { rows } = await world.database.pool.query(
      'SELECT active FROM actions.command_targets WHERE device_id = $1',
      [gone],
    );
    expect(rows).toEqual([{ active: false }]);
  });
});

const deep = (levels: number): unknown => (levels === 0 ? 1 : { a: deep(levels - 1) });

describe('bad input is refused with its field', () => {
  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    ['an empty device id', { deviceId: '' }, 'input.deviceId'],
    ['a device id with U+0000', { deviceId: 'a\u0000' }, 'input.deviceId'],
    ['a device id that is too long', { deviceId: 'x'.repeat(129) }, 'input.deviceId'],
    ['an empty name', { name: '' }, 'input.name'],
    ['a name with a blank', { name: 'set point' }, 'input.name'],
    ['a name of 65 characters', { name: 'x'.repeat(65) }, 'input.name'],
    ['a name with a line end', { name: 'reboot\n' }, 'input.name'],
    ['parameters that are a list', { parameters: [1] }, 'input.parameters'],
    ['parameters that are a number', { parameters: 1 }, 'input.parameters'],
    ['parameters that are a string', { parameters: '{}' }, 'input.parameters'],
    ['parameters that are too large', { parameters: { a: 'x'.repeat(16_384) } }, 'input.parameters'],
    ['parameters that are too large in UTF-8', { parameters: { a: 'ü'.repeat(8_192) } }, 'input.parameters'],
    ['parameters that are too deep', { parameters: deep(33) }, 'input.parameters'],
    ['parameters with U+0000', { parameters: { a: ['\u0000'] } }, 'input.parameters.a[0]'],
    ['a time to live that is too short', { timeToLive: 'PT0.5S' }, 'input.timeToLive'],
    ['a time to live that is too long', { timeToLive: 'P31D' }, 'input.timeToLive'],
    ['a time to live of a month', { timeToLive: 'P1M' }, 'input.timeToLive'],
    ['an empty idempotency key', { idempotencyKey: '' }, 'input.idempotencyKey'],
    ['an idempotency key that is too long', { idempotencyKey: 'x'.repeat(201) }, 'input.idempotencyKey'],
  ])('%s', async (_what, input, field) => {
    const { data, errors } = await actions.graphql(sendMutation, { input: { deviceId, name: 'n', ...input } });
    expect(errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field });
    expect(errors?.[0]?.message).toContain(field.split('.').at(1));
    expect(data ?? null).toBeNull();
  });

  test('parameters of exactly 16 kB and 32 levels are taken', async () => {
    const { command } = await send(actions, { deviceId, parameters: { a: 'x'.repeat(16_384 - 8) } });
    expect(JSON.stringify(command.parameters)).toHaveLength(16_384);
    expect((await send(actions, { deviceId, parameters: deep(32) })).command.parameters).toEqual(deep(32));
  });

  test('a duration that is none', async () => {
    const { errors } = await actions.graphql(sendMutation, { input: { deviceId, name: 'n', timeToLive: 'soon' } });
    expect(errors?.[0]?.extensions?.code).toBe('BAD_USER_INPUT');
    expect(errors?.[0]?.message).toContain('input.timeToLive');
  });

  test('canceling without a possible id, and one that does not exist', async () => {
    const bad = await actions.graphql(cancelMutation, { input: { id: 'a\u0000b' } });
    expect(bad.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field: 'input.id' });
    const id = randomUUID();
    const unknown = await actions.graphql(cancelMutation, { input: { id } });
    expect(unknown.errors?.[0]?.extensions?.code).toBe('NOT_FOUND');
    expect(unknown.errors?.[0]?.message).toContain(id);
  });
});

test('a cancellation is stored with its event, and the command never changes after it', async () => {
  const { command } = await send(actions, { deviceId });
  const { cancelCommand } = await actions.data<{ cancelCommand: Sent }>(cancelMutation, { input: { id: command.id } });
  expect(cancelCommand.command).toMatchObject({ id: command.id, status: 'CANCELED' });
  expect(cancelCommand.command.completedAt).toBe(cancelCommand.command.updatedAt);
  expect(await read(actions, command.id)).toEqual(cancelCommand.command);
  const last = (await world.history(command.id)).at(-1);
  expect(last).toMatchObject({
    id: eventIdOf(cancelCommand.consistencyToken),
    type: 'io.fleetgraph.command.canceled.v1',
    revision: 2,
    subject: deviceId,
    actor: 'tester',
    data: { commandId: command.id, deviceId },
  });
});

test('of many cancellations at once one is done, and the others are told CONFLICT', async () => {
  const { command } = await send(actions, { deviceId });
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => actions.graphql(cancelMutation, { input: { id: command.id } })),
  );
  const codes = answers.map(({ errors }) => errors?.[0]?.extensions?.code ?? 'done').sort();
  expect(codes).toEqual([...Array<string>(7).fill('CONFLICT'), 'done']);
});

test('idempotency keys are forgotten after the days that the schema promises, not before', async () => {
  const young = randomUUID();
  const old = randomUUID();
  const first = await send(actions, { deviceId, idempotencyKey: young });
  await send(actions, { deviceId, idempotencyKey: old });
  await world.database.pool.query(
    `UPDATE actions.idempotency_keys SET created_at = now() - interval '7 days 1 minute' WHERE key = $1`,
    [old],
  );
  // The purge runs at each start.
  await world.startInstance();
  await eventually(async () => {
    const { rows } = await world.database.pool.query('SELECT 1 FROM actions.idempotency_keys WHERE key = $1', [old]);
    expect(rows).toEqual([]);
  });
  expect((await send(actions, { deviceId, idempotencyKey: young })).command.id).toBe(first.command.id);
});
