import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { makeEvent, type NewEvent } from '../../../../backbone/events/envelope.js';
import { inTransaction, only, sqlOf } from '../../../../platform/database/sql.js';
import { applySignals, type Applied, type CommandSignal } from '../../../../subgraphs/actions/command/apply-signals.js';
import { createDatabase, type TestDatabase } from '../../../world/database.js';
import { within } from '../../../world/eventually.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const now = Date.parse('2026-11-23T08:00:10.000Z');
let commandId: string;
beforeEach(async () => {
  commandId = randomUUID();
  await database.pool.query(
    `INSERT INTO actions.commands (id, tenant, device_id, name, parameters, status, revision, created_at, updated_at, expires_at)
     VALUES ($1, 'acme', 'd1', 'n', '{}', 'QUEUED', 1, $2, $2, $3)`,
    [commandId, new Date(now - 10_000), new Date(now + 60_000)],
  );
});

function signal(
  type: CommandSignal['type'],
  from: { tenant?: string; deviceId?: string; commandId?: string } = {},
): CommandSignal {
  const { tenant = 'acme', deviceId = 'd1' } = from;
  const data = { commandId: from.commandId ?? commandId, deviceId, status: 'SUCCEEDED', at: now };
  const event: NewEvent<CommandSignal['type']> = {
    source: '/bridge',
    type,
    subject: deviceId,
    tenant,
    data: data,
  };
  return makeEvent(event);
}

const dispatched = 'io.fleetgraph.command.dispatched.v1';
const received = 'io.fleetgraph.command.received.v1';
const acknowledged = 'io.fleetgraph.command.acknowledged.v1';

const apply = (...signals: readonly CommandSignal[]): Promise<Applied> =>
  inTransaction(database.pool, (sql) => applySignals(sql, signals, now));

async function row(): Promise<{ status: string; revision: number }> {
  return only(
    await sqlOf(database.pool).query('SELECT status::text AS status, revision FROM actions.commands WHERE id = $1', [
      commandId,
    ]),
  );
}

test('answers of others between those of the device itself move nothing, in one and the same batch', async () => {
  const foreign = [
    signal(acknowledged, { deviceId: 'd2' }),
    signal(acknowledged, { tenant: 'globex' }),
    signal(acknowledged, { tenant: 'globex', deviceId: 'd2' }),
  ];
  const applied = await apply(signal(dispatched), ...foreign, signal(received));
  expect(applied.foreign).toEqual(foreign);
  expect(applied.moved.map(({ events }) => events.map(({ type }) => type))).toEqual([
    ['io.fleetgraph.command.sent.v1', 'io.fleetgraph.command.delivered.v1'],
  ]);
  expect(await row()).toEqual({ status: 'DELIVERED', revision: 3 });
});

test('a signal about a command of somebody else does not even wait for it', async () => {
  const holder = await database.pool.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM actions.commands WHERE id = $1 FOR UPDATE', [commandId]);
    const applying = apply(signal(acknowledged, { deviceId: 'd2' }), signal(acknowledged, { tenant: 'globex' }));
    expect((await within(applying, 5_000, 'the foreign signal')).foreign).toHaveLength(2);
  } finally {
    await holder.query('ROLLBACK');
    holder.release();
  }
});

test('a batch that is delivered again changes nothing', async () => {
  const batch = [signal(dispatched), signal(acknowledged)];
  expect((await apply(...batch)).moved).toHaveLength(1);
  const before = await row();
  expect(await apply(...batch)).toEqual({ moved: [], foreign: [] });
  expect(await row()).toEqual(before);
});

test('a write model and a stream that disagree are a conflict, and nothing of the batch is kept', async () => {
  await apply(signal(dispatched));
  await database.pool.query('UPDATE actions.commands SET revision = 1 WHERE id = $1', [commandId]);
  await expect(apply(signal(received))).rejects.toMatchObject({ code: 'CONFLICT' });
  expect(await row()).toEqual({ status: 'SENT', revision: 1 });
});
