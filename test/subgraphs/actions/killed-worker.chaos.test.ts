/** Processes of the actions role killed while they make the commands of a job, and while they end them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startScript, type Child } from '../../world/child-process.js';
import { eventually } from '../../world/eventually.js';
import { createActionsWorld, type ActionsWorld } from './actions-world.js';

let world: ActionsWorld;
const children = new Set<Child>();
beforeAll(async () => {
  world = await createActionsWorld();
});
afterAll(async () => {
  for (const child of children) await child.kill();
  await world[Symbol.asyncDispose]();
});

const devices = 6_000;
const startActions = async (): Promise<Child> => {
  const child = await startScript(new URL('actions-process.ts', import.meta.url), [world.database.url]);
  children.add(child);
  return child;
};
const numberOf = async (query: string): Promise<number> => {
  const { rows } = await world.database.pool.query<{ n: number }>(`SELECT (${query})::int AS n`);
  return rows[0]?.n ?? 0;
};
const made = () => numberOf('SELECT count(*) FROM actions.commands');
const ended = () => numberOf(`SELECT count(*) FROM actions.commands WHERE status = 'EXPIRED'`);
/** A process works until `count` has grown by so much, and is killed in the middle of what it does then. */
const workAndDie = async (count: () => Promise<number>, more: number): Promise<number> => {
  const before = await count();
  const child = await startActions();
  await eventually(async () => expect(await count()).toBeGreaterThanOrEqual(Math.min(before + more, devices)), 60_000);
  await child.kill();
  return count();
};

test('a job goes on where its worker was killed: each device gets one command, each ends once, and the counts are right', async () => {
  const instance = await world.startInstance();
  await world.database.pool.query(
    `INSERT INTO actions.command_targets (device_id, tenant, active, revision, type_id, labels)
     SELECT 'killed-' || lpad(i::text, 6, '0'), 'acme', true, 1, 'generic', '{}' FROM generate_series(1, $1::int) i`,
    [devices],
  );
  // Held, so that what works on it is only what is to be killed.
  const holder = await world.database.pool.connect();
  await holder.query('BEGIN');
  await holder.query('LOCK TABLE actions.commands IN SHARE ROW EXCLUSIVE MODE');
  const { sendCommands } = await instance.data<{ sendCommands: { job: { id: string } } }>(
    `mutation M($input: SendCommandsInput!) { sendCommands(input: $input) { job { id } } }`,
    { input: { name: 'restart', selector: { typeIds: ['generic'] }, timeToLive: 'PT10S' } },
  );
  const stopping = instance.stop();
  await holder.query('ROLLBACK');
  holder.release();
  await stopping;
  const firstMade = await made();
  expect(firstMade).toBeLessThan(devices);

  const afterFirst = await workAndDie(made, 600);
  expect(afterFirst).toBeGreaterThan(firstMade);
  expect(afterFirst).toBeLessThan(devices);
  await workAndDie(made, 1_100);
  await workAndDie(made, devices);
  expect(await made()).toBe(devices);
  const afterEnding = await workAndDie(ended, 900);
  expect(afterEnding).toBeLessThan(devices);
  await workAndDie(ended, 1_500);

  const last = await world.startInstance();
  await eventually(async () => {
    const { commandJob } = await last.data<{ commandJob: unknown }>(
      `query Q($id: ID!) { commandJob(id: $id) { status devices progress { waiting queued sent expired failed } } }`,
      { id: sendCommands.job.id },
    );
    expect(commandJob).toEqual({
      status: 'COMPLETED',
      devices,
      progress: { waiting: 0, queued: 0, sent: 0, expired: devices, failed: 0 },
    });
  }, 90_000);
  expect(await numberOf('SELECT count(DISTINCT device_id) FROM actions.commands')).toBe(devices);
  const { rows } = await world.database.pool.query<{ type: string; events: number; streams: number }>(
    `SELECT split_part(type, '.', 4) AS type, count(*)::int AS events, count(DISTINCT stream)::int AS streams
     FROM events.events WHERE stream LIKE 'command-%' AND stream NOT LIKE 'command-job-%' GROUP BY 1 ORDER BY 1`,
  );
  expect(rows).toEqual([
    { type: 'expired', events: devices, streams: devices },
    { type: 'requested', events: devices, streams: devices },
  ]);
}, 240_000);
