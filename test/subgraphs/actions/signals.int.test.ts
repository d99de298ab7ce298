import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { evolve } from '../../../subgraphs/actions/command/life-cycle.js';
import type { Command } from '../../../subgraphs/actions/command/command.js';
import { eventually } from '../../world/eventually.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from './actions-world.js';
import { cancelMutation, read, send, type CommandView } from './operations.js';

let world: ActionsWorld;
let actions: ActionsInstance;
let deviceId: string;
beforeAll(async () => {
  world = await createActionsWorld();
  actions = await world.startInstance();
  deviceId = await world.register();
});
afterAll(() => world[Symbol.asyncDispose]());

const dispatched = 'io.fleetgraph.command.dispatched.v1';
const received = 'io.fleetgraph.command.received.v1';
const acknowledged = 'io.fleetgraph.command.acknowledged.v1';

/** Waits until a signal that came after all before it has been applied. Same device, so same partition. */
async function settled(device = deviceId): Promise<void> {
  const { command } = await send(actions, { deviceId: device, name: 'marker' });
  await world.signal({ type: dispatched, data: { commandId: command.id, deviceId: device, at: Date.now() } });
  await eventually(async () => expect((await read(actions, command.id))?.status).toBe('SENT'));
}

async function eventuallyIs(id: string, status: string): Promise<CommandView> {
  return eventually(async () => {
    const command = await read(actions, id);
    expect(command?.status).toBe(status);
    if (command === null) throw new Error('gone');
    return command;
  });
}

async function statusesOf(id: string): Promise<string[]> {
  return (await world.history(id)).map(({ type }) => type.replace(/^io\.fleetgraph\.command\.|\.v1$/g, ''));
}

const value = async (name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> => {
  const metric = await actions.metrics.getSingleMetric(name)?.get();
  const matches = metric?.values.filter((sample) => Object.entries(labels).every(([k, v]) => sample.labels[k] === v));
  return matches?.[0]?.value ?? 0;
};

test('a command lives its whole life: queued, sent, delivered, succeeded, each with its time and its cause', async () => {
  const { command } = await send(actions, { deviceId });
  const ids = { commandId: command.id, deviceId };
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const at = Date.now();
  const sentBy = await world.signal({ type: dispatched, data: { ...ids, at }, correlationid: 'r1', traceparent });
  const sent = await eventuallyIs(command.id, 'SENT');
  expect(Date.parse(sent.sentAt ?? '')).toBe(Math.max(at, Date.parse(command.createdAt)));
  const deliveredBy = await world.signal({ type: received, data: { ...ids, at: Date.now() }, correlationid: 'r1' });
  await eventuallyIs(command.id, 'DELIVERED');
  const endedBy = await world.signal({
    type: acknowledged,
    correlationid: 'r1',
    data: { ...ids, status: 'SUCCEEDED', result: { celsius: 21 }, at: Date.now() + 0.5 },
  });
  const ended = await eventuallyIs(command.id, 'SUCCEEDED');
  expect(ended).toMatchObject({ result: { celsius: 21 }, error: null });
  expect([ended.sentAt, ended.deliveredAt, ended.completedAt]).not.toContain(null);

  const history = await world.history(command.id);
  expect(history.map(({ causationId }) => causationId)).toEqual([null, sentBy, deliveredBy, endedBy]);
  expect(history.slice(1).map(({ correlationId }) => correlationId)).toEqual(['r1', 'r1', 'r1']);
  expect(history[1]?.traceparent).toBe(traceparent);
  expect(new Set(history.map(({ subject }) => subject))).toEqual(new Set([deviceId]));
  // The stream alone makes the row.
  const folded = history.reduce<Command | undefined>(evolve, undefined);
  const { tenant: _tenant, revision, ...view } = folded ?? {};
  expect(JSON.parse(JSON.stringify(view))).toMatchObject(ended);
  expect(revision).toBe(4);
});

test.each([
  ['FAILED', 'out of range', 'out of range'],
  ['REJECTED', undefined, 'The device gave no reason.'],
] as const)('a command that is answered with %s has the reason', async (status, error, shown) => {
  const { command } = await send(actions, { deviceId });
  const data = { commandId: command.id, deviceId, status, at: Date.now(), ...(error === undefined ? {} : { error }) };
  await world.signal({ type: acknowledged, data });
  expect(await eventuallyIs(command.id, status)).toMatchObject({ error: shown, result: null });
});

test('an answer before the dispatch counts; what is heard late, twice or against it changes nothing', async () => {
  const { command } = await send(actions, { deviceId });
  const ids = { commandId: command.id, deviceId };
  await world.signal({ type: acknowledged, data: { ...ids, status: 'SUCCEEDED', at: Date.now() } });
  await world.signal({ type: received, data: { ...ids, at: Date.now() } });
  await world.signal({ type: dispatched, data: { ...ids, at: Date.now() } });
  await world.signal({ type: acknowledged, data: { ...ids, status: 'FAILED', error: 'x', at: Date.now() } });
  await settled();
  expect(await statusesOf(command.id)).toEqual(['requested', 'succeeded']);
  expect(await read(actions, command.id)).toMatchObject({ status: 'SUCCEEDED', error: null, sentAt: null });
});

test('an answer to a canceled command changes nothing', async () => {
  const { command } = await send(actions, { deviceId });
  await actions.data(cancelMutation, { input: { id: command.id } });
  const data = { commandId: command.id, deviceId, status: 'SUCCEEDED', at: Date.now() } as const;
  await world.signal({ type: acknowledged, data });
  await settled();
  expect(await statusesOf(command.id)).toEqual(['requested', 'canceled']);
});

test('several signals about one command in one batch are applied in their order', async () => {
  const sent = await Promise.all(Array.from({ length: 20 }, () => send(actions, { deviceId })));
  await Promise.all(
    sent.flatMap(({ command: { id: commandId } }) => [
      world.signal({ type: dispatched, data: { commandId, deviceId, at: Date.now() } }),
      world.signal({ type: received, data: { commandId, deviceId, at: Date.now() } }),
      world.signal({ type: dispatched, data: { commandId, deviceId, at: Date.now() } }),
      world.signal({ type: acknowledged, data: { commandId, deviceId, status: 'SUCCEEDED', at: Date.now() } }),
    ]),
  );
  for (const { command } of sent) {
    await eventuallyIs(command.id, 'SUCCEEDED');
    expect(await statusesOf(command.id)).toEqual(['requested', 'sent', 'delivered', 'succeeded']);
  }
});

describe('a signal that is not of the device of the command', () => {
  test('is dropped and counted: another device, another tenant, no such command', async () => {
    const { command } = await send(actions, { deviceId });
    const other = await world.register();
    const before = await value('fleetgraph_command_foreign_signals_total');
    const answer = { commandId: command.id, status: 'SUCCEEDED', at: Date.now() } as const;
    await world.signal({ type: acknowledged, data: { ...answer, deviceId: other } });
    await world.signal({ type: acknowledged, data: { ...answer, deviceId }, tenant: 'globex' });
    await world.signal({ type: acknowledged, data: { ...answer, deviceId, commandId: randomUUID() } });
    await world.signal({ type: acknowledged, data: { ...answer, deviceId, commandId: 'a\u0000' } });
    await settled();
    await settled(other);
    await eventually(async () => {
      expect((await value('fleetgraph_command_foreign_signals_total')) - before).toBe(4);
    });
    expect(await statusesOf(command.id)).toEqual(['requested']);
  });
});

test('an answer that PostgreSQL could not store as it is still ends the command', async () => {
  const { command } = await send(actions, { deviceId });
  const result = { 'a\u0000': ['\uD83D', '😀'] };
  await world.signal({
    type: acknowledged,
    data: { commandId: command.id, deviceId, status: 'SUCCEEDED', result, at: Date.now() },
  });
  expect(await eventuallyIs(command.id, 'SUCCEEDED')).toMatchObject({ result: { 'a\uFFFD': ['\uFFFD', '😀'] } });
  const { command: failed } = await send(actions, { deviceId });
  await world.signal({
    type: acknowledged,
    data: { commandId: failed.id, deviceId, status: 'FAILED', error: `\u0000${'x'.repeat(10_000)}`, at: Date.now() },
  });
  const { error } = await eventuallyIs(failed.id, 'FAILED');
  expect(error).toHaveLength(4_096);
});

test('a clock of the bridge that is ahead does not put times into the future', async () => {
  const { command } = await send(actions, { deviceId });
  await world.signal({ type: dispatched, data: { commandId: command.id, deviceId, at: Date.now() + 3_600_000 } });
  const { sentAt } = await eventuallyIs(command.id, 'SENT');
  expect(Date.parse(sentAt ?? '')).toBeLessThanOrEqual(Date.now());
});

test('what devices say besides is passed over', async () => {
  await world.signal({
    type: 'io.fleetgraph.presence.changed.v1',
    data: { deviceId, online: true, session: 1, at: Date.now(), reason: 'connected' },
  });
  await world.signal({
    type: 'io.fleetgraph.device.event-raised.v1',
    data: { deviceId, name: 'door', data: {}, at: 1 },
  });
  await settled();
  const { rows } = await world.database.pool.query('SELECT 1 FROM dead_letters.dead_letters');
  expect(rows).toEqual([]);
});

test('every status that a command comes to is counted, and the time that it took', async () => {
  const counted = async () => ({
    queued: await value('fleetgraph_commands_total', { status: 'QUEUED' }),
    failed: await value('fleetgraph_commands_total', { status: 'FAILED' }),
  });
  const before = await counted();
  const { command } = await send(actions, { deviceId });
  const data = { commandId: command.id, deviceId, status: 'FAILED', error: 'no', at: Date.now() } as const;
  await world.signal({ type: acknowledged, data });
  await eventually(async () => expect((await counted()).failed).toBe(before.failed + 1));
  expect((await counted()).queued).toBe(before.queued + 1);
  const text = await actions.metrics.metrics();
  expect(text).toMatch(/fleetgraph_command_seconds_count\{status="FAILED"\} [1-9]/);
});

describe('cancellation against answer', () => {
  test('at the same time, many times: exactly one of the two ends the command, and whoever canceled is told the truth', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const { command } = await send(actions, { deviceId });
        const data = { commandId: command.id, deviceId, status: 'SUCCEEDED', at: Date.now() } as const;
        const answering = world.signal({ type: acknowledged, data });
        // Some cancel at once, some when the answer is on its way.
        if (index % 2 === 1) await answering;
        const { errors } = await actions.graphql(cancelMutation, { input: { id: command.id } });
        await answering;
        return { id: command.id, code: errors?.[0]?.extensions?.code };
      }),
    );
    await settled();
    for (const { id, code } of outcomes) {
      const statuses = await statusesOf(id);
      expect([undefined, 'CONFLICT']).toContain(code);
      expect(statuses).toEqual(['requested', code === undefined ? 'canceled' : 'succeeded']);
      expect((await read(actions, id))?.status).toBe(code === undefined ? 'CANCELED' : 'SUCCEEDED');
    }
  });
});
