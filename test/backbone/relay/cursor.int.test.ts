/** The cursor of a relay: it goes forward only, and what lies before it costs nothing. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createCursor,
  hasBehindCursor,
  moveCursor,
  readBehindCursor,
  relayLag,
} from '../../../backbone/relay/cursor.js';
import { inTransaction, only, sqlOf, type Sql } from '../../../platform/database/sql.js';
import { createDatabase, type TestDatabase } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { appendNamed } from './relay-world.js';

let database: TestDatabase;
let sql: Sql;
beforeAll(async () => {
  database = await createDatabase();
  sql = sqlOf(database.pool);
});
afterAll(() => database[Symbol.asyncDispose]());

const appendSome = (stream: string, count: number) =>
  inTransaction(database.pool, async (transaction) => {
    for (let revision = 0; revision < count; revision += 1)
      await appendNamed(transaction, stream, revision, `${stream} ${revision}`);
  });

/** Transactions of other databases hold the horizon, too: what is committed here may come a little later. */
const readAll = (name: string, count: number) =>
  eventually(async () => {
    const read = await readBehindCursor(sql, name, 1_000);
    expect(read).toHaveLength(count);
    return read;
  });

test('a cursor goes forward only, also when it is made again', async () => {
  await createCursor(sql, 'forward');
  const before = (await readBehindCursor(sql, 'forward', 1_000)).length;
  await appendSome('forward', 3);
  const [first, second, third] = (await readAll('forward', before + 3)).slice(before);
  if (!first || !second || !third) throw new Error('three events were appended');
  await moveCursor(sql, 'forward', second);
  await moveCursor(sql, 'forward', first);
  await createCursor(sql, 'forward');
  expect(await readAll('forward', 1)).toEqual([third]);
  await moveCursor(sql, 'forward', third);
  expect(await hasBehindCursor(sql, 'forward')).toBe(false);
});

test('events of one transaction are told apart by position: a batch may end between them', async () => {
  await createCursor(sql, 'between');
  await appendSome('between', 5);
  const names: string[] = [];
  for (;;) {
    const [next] = await eventually(async () => {
      const read = await readBehindCursor(sql, 'between', 1);
      if (read.length === 0) expect(await hasBehindCursor(sql, 'between')).toBe(false);
      return read;
    });
    if (!next) break;
    await moveCursor(sql, 'between', next);
    if (next.event.subject === 'between') names.push((next.event.data as { name: string }).name);
  }
  expect(names).toEqual(Array.from({ length: 5 }, (_unused, index) => `between ${index}`));
});

test('cursors of two names know nothing of each other', async () => {
  await appendSome('names', 1);
  await createCursor(sql, 'one');
  await createCursor(sql, 'other');
  const { events } = await relayLag(sql, 'one');
  const last = only((await readAll('one', events)).slice(-1));
  await moveCursor(sql, 'one', last);
  expect(await relayLag(sql, 'one')).toEqual({ events: 0, seconds: 0 });
  expect(await relayLag(sql, 'other')).toMatchObject({ events });
});

interface PlanNode {
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

function rowsRead(node: PlanNode): number {
  const own =
    node['Actual Rows'] +
    (node['Rows Removed by Filter'] ?? 0) +
    (node['Rows Removed by Join Filter'] ?? 0) +
    (node['Rows Removed by Index Recheck'] ?? 0);
  return own * node['Actual Loops'] + (node.Plans ?? []).reduce((sum, plan) => sum + rowsRead(plan), 0);
}

test('whatever is asked of the cursor reads what is behind it, however much lies before it', async () => {
  const name = 'cheap';
  await sql.query(
    `INSERT INTO events.events (tenant, stream, revision, id, type, source, subject, time, data)
     SELECT 'acme', 'old-' || n, 1, gen_random_uuid(), 'io.fleetgraph.device.decommissioned.v1', '/test', 'old', now(), '{"deviceId":"old"}'
     FROM generate_series(1, 20000) n`,
  );
  await createCursor(sql, name);
  const last = only(
    await sql.query<{ transactionId: string; position: string }>(
      `SELECT transaction_id::text AS "transactionId", position::text AS position
       FROM events.events e ORDER BY e.transaction_id DESC, e.position DESC LIMIT 1`,
    ),
  );
  await moveCursor(sql, name, last);
  await appendSome('new', 4);
  let read = 0;
  // The very statements, explained while they run.
  const explaining: Sql = {
    async query<Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> {
      const [explained] = await sql.query<{ 'QUERY PLAN': readonly { Plan: PlanNode }[] }>(
        `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
        parameters,
      );
      read += rowsRead(only(explained?.['QUERY PLAN'] ?? []).Plan);
      return [];
    },
  };
  const questions = [
    () => readBehindCursor(explaining, name, 500),
    () => hasBehindCursor(explaining, name),
    () => relayLag(explaining, name),
  ];
  await sql.query('ANALYZE events.events');
  for (const ask of questions) {
    read = 0;
    await ask();
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(100);
  }
  expect(await relayLag(sql, name)).toMatchObject({ events: 4 });
});
