import { afterAll, beforeAll, expect, test } from 'vitest';
import { expireDue } from '../../../subgraphs/actions/command/expiry.js';
import { eventually } from '../../world/eventually.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from './actions-world.js';
import { read, send } from './operations.js';

let world: ActionsWorld;
let actions: ActionsInstance;
let deviceId: string;
beforeAll(async () => {
  world = await createActionsWorld();
  actions = await world.startInstance();
  deviceId = await world.register();
});
afterAll(() => world[Symbol.asyncDispose]());

test('a command without an answer expires soon after its time to live, not before, with its event', async () => {
  const { command } = await send(actions, { deviceId, timeToLive: 'PT1S' });
  const expired = await eventually(async () => {
    const now = await read(actions, command.id);
    expect(now?.status).toBe('EXPIRED');
    return now;
  });
  const lateMs = Date.parse(expired?.completedAt ?? '') - Date.parse(command.expiresAt);
  expect(lateMs).toBeGreaterThanOrEqual(0);
  expect(lateMs).toBeLessThan(2_000);
  const last = (await world.history(command.id)).at(-1);
  expect(last).toMatchObject({
    type: 'io.fleetgraph.command.expired.v1',
    revision: 2,
    subject: deviceId,
    data: { commandId: command.id, deviceId },
  });
});

test('an answer to an expired command changes nothing', async () => {
  const { command } = await send(actions, { deviceId, timeToLive: 'PT1S' });
  await eventually(async () => expect((await read(actions, command.id))?.status).toBe('EXPIRED'));
  const marker = await send(actions, { deviceId });
  for (const commandId of [command.id, marker.command.id]) {
    await world.signal({
      type: 'io.fleetgraph.command.acknowledged.v1',
      data: { commandId, deviceId, status: 'SUCCEEDED', at: Date.now() },
    });
  }
  await eventually(async () => expect((await read(actions, marker.command.id))?.status).toBe('SUCCEEDED'));
  expect((await read(actions, command.id))?.status).toBe('EXPIRED');
});

test('a command that was sent or delivered expires too; one that has ended does not', async () => {
  const [sent, delivered, ended] = await Promise.all(
    ['PT4S', 'PT4S', 'PT4S'].map(async (timeToLive) => (await send(actions, { deviceId, timeToLive })).command.id),
  );
  const at = Date.now();
  const ids = (commandId = '') => ({ commandId, deviceId, at });
  await world.signal({ type: 'io.fleetgraph.command.dispatched.v1', data: ids(sent) });
  await world.signal({ type: 'io.fleetgraph.command.received.v1', data: ids(delivered) });
  await world.signal({ type: 'io.fleetgraph.command.acknowledged.v1', data: { ...ids(ended), status: 'SUCCEEDED' } });
  await eventually(async () => expect((await read(actions, delivered ?? ''))?.status).toBe('EXPIRED'));
  await eventually(async () => expect((await read(actions, sent ?? ''))?.status).toBe('EXPIRED'));
  expect((await read(actions, ended ?? ''))?.status).toBe('SUCCEEDED');
  expect((await world.history(sent ?? '')).map(({ type }) => type.split('.')[3])).toEqual([
    'requested',
    'sent',
    'expired',
  ]);
});

test('when nothing runs nothing expires, and what is overdue expires at the next start', async () => {
  const { command } = await send(actions, { deviceId, timeToLive: 'PT1S' });
  await actions.stop();
  await eventually(() => expect(Date.now()).toBeGreaterThan(Date.parse(command.expiresAt) + 50));
  expect(await world.history(command.id)).toHaveLength(1);
  actions = await world.startInstance();
  await eventually(async () => expect((await read(actions, command.id))?.status).toBe('EXPIRED'));
  await eventually(async () => {
    const lag = await actions.metrics.getSingleMetric('fleetgraph_command_expiry_lag_seconds')?.get();
    expect(lag?.values[0]?.value).toBe(0);
  });
});

test('many loops over more due commands than a batch expire each exactly once', async () => {
  await actions.stop();
  const { pool } = world.database;
  const due = new Date(Date.now() - 60_000);
  await pool.query(
    `INSERT INTO actions.commands (id, tenant, device_id, name, parameters, status, revision, created_at, updated_at, expires_at)
     SELECT 'due-' || n, 'acme', $1, 'n', '{}', 'QUEUED', 1, $2, $2, $2 FROM generate_series(1, 500) n`,
    [deviceId, due],
  );
  const rounds = async (): Promise<string[]> => {
    const ids: string[] = [];
    for (;;) {
      const expired = await expireDue(pool, Date.now());
      if (expired.length === 0) return ids;
      ids.push(...expired.map(({ command }) => command.id));
    }
  };
  const expired = (await Promise.all([rounds(), rounds(), rounds()])).flat();
  expect(expired.length).toBe(500);
  expect(new Set(expired).size).toBe(500);
  const { rows } = await pool.query<{ count: bigint }>(
    `SELECT count(*) FROM events.events WHERE stream LIKE 'command-due-%' AND type = 'io.fleetgraph.command.expired.v1' AND revision = 2`,
  );
  expect(rows[0]?.count).toBe(500n);
});
