/** Dead letters: whatever a record holds, it can be put aside, once, with what is needed to see why. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BusRecord } from '../../../backbone/bus/event-bus.js';
import { purgeSettledLetters } from '../../../backbone/consumer/dead-letter-retention.js';
import { storeDeadLetter } from '../../../backbone/consumer/dead-letters.js';
import { sqlOf } from '../../../platform/database/sql.js';
import { createDatabase, type TestDatabase } from '../../world/database.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

let offset = 0n;
/** Stores a dead letter of a record like this, and reads it. */
async function buried(parts: Partial<BusRecord>, cause: unknown) {
  offset += 1n;
  const record: BusRecord = {
    topic: 't',
    partition: 0,
    offset,
    key: 'k',
    value: '{}',
    headers: {},
    timestampMs: 0,
    ...parts,
  };
  await storeDeadLetter(database.pool, { consumer: 'c', record, cause, attempts: 3 });
  const { rows } = await database.pool.query(
    'SELECT key, value, headers, tenant, type, cause, stack, attempts FROM dead_letters.dead_letters WHERE "offset" = $1',
    [record.offset],
  );
  expect(rows).toHaveLength(1);
  return rows[0] as Record<string, unknown>;
}

test('a dead letter has the record as it was, its cause and where that came from', async () => {
  const headers = { ce_tenant: 'acme', ce_type: 'io.example.v1', 'content-type': 'application/json' };
  const cause = new TypeError('cannot read “that”');
  expect(await buried({ key: 'ключ', value: '{"a":"\\u0000 \\\\ ü"}', headers }, cause)).toEqual({
    key: 'ключ',
    value: '{"a":"\\u0000 \\\\ ü"}',
    headers,
    tenant: 'acme',
    type: 'io.example.v1',
    cause: 'cannot read “that”',
    stack: cause.stack,
    attempts: 3,
  });
});

test.each([
  ['U+0000', 'a\u0000b', 'a\uFFFDb'],
  ['half a surrogate pair', 'a\uD83Db', 'a\uFFFDb'],
])('%s anywhere in a record or its cause is replaced, for PostgreSQL can not hold it', async (_what, text, stored) => {
  const cause = new Error(text);
  const row = await buried(
    { key: text, value: text, headers: { ce_tenant: text, ce_type: text, [text]: text } },
    cause,
  );
  expect(row).toMatchObject({ key: stored, value: stored, tenant: stored, type: stored, cause: stored });
  expect(row['headers']).toEqual({ ce_tenant: stored, ce_type: stored, [stored]: stored });
  expect(row['stack']).toContain(`Error: ${stored}`);
});

test('the text of an escape in a header is no escape, and stays', async () => {
  expect(await buried({ headers: { path: 'C:\\u0000\\ud83d' } }, 'no')).toMatchObject({
    headers: { path: 'C:\\u0000\\ud83d' },
  });
});

test.each([['a string'], [undefined], [null], [{ code: 42 }]])(
  'a cause that is no error (%j) is kept as text',
  async (cause) => {
    expect(await buried({}, cause)).toMatchObject({ cause: expect.any(String) as string, stack: null });
  },
);

test('a record without attributes has neither tenant nor type', async () => {
  expect(await buried({ headers: {} }, 'no')).toMatchObject({ tenant: null, type: null, headers: {} });
});

test('a tenant that is longer than any is cut off: the record is kept, and its headers are whole', async () => {
  const tenant = Array.from({ length: 400 }, () => randomUUID()).join('');
  expect(await buried({ headers: { ce_tenant: tenant } }, 'no')).toMatchObject({
    tenant: tenant.slice(0, 256),
    headers: { ce_tenant: tenant },
  });
});

test('the same record buried again stays one dead letter, the first; for another consumer it is another', async () => {
  const record: BusRecord = {
    topic: 'again',
    partition: 0,
    offset: 7n,
    key: 'k',
    value: '{}',
    headers: {},
    timestampMs: 0,
  };
  for (const [consumer, cause] of [
    ['one', 'first'],
    ['one', 'second'],
    ['two', 'third'],
  ] as const)
    await storeDeadLetter(database.pool, { consumer, record, cause: new Error(cause), attempts: 1 });
  const { rows } = await database.pool.query(
    `SELECT consumer, cause FROM dead_letters.dead_letters WHERE topic = 'again' ORDER BY consumer`,
  );
  expect(rows).toEqual([
    { consumer: 'one', cause: 'first' },
    { consumer: 'two', cause: 'third' },
  ]);
});

test('what was settled long ago is forgotten; what was settled lately, or not at all, stays', async () => {
  const letters = [
    ...[
      ['REPLAYED', 31],
      ['DISCARDED', 31],
      ['DISCARDED', 29],
    ],
    ...[
      ['PENDING', null],
      ['REPLAYING', null],
    ],
  ];
  for (const [index, [status, daysAgo]] of letters.entries()) {
    const record: BusRecord = {
      topic: 'settled',
      partition: 0,
      offset: BigInt(index),
      key: 'k',
      value: '{}',
      headers: {},
      timestampMs: 0,
    };
    await storeDeadLetter(database.pool, { consumer: 'c', record, cause: new Error('no'), attempts: 1 });
    await database.pool.query(
      `UPDATE dead_letters.dead_letters SET status = $2::dead_letters.dead_letter_status, failed_at = now() - interval '1 year',
         settled_at = now() - $3::int * interval '1 day' WHERE topic = 'settled' AND "offset" = $1`,
      [index, status, daysAgo],
    );
  }
  const sql = sqlOf(database.pool);
  expect(await purgeSettledLetters(sql, 30, 1)).toBe(1);
  expect(await purgeSettledLetters(sql, 30, 100)).toBe(1);
  expect(await purgeSettledLetters(sql, 30, 100)).toBe(0);
  const { rows } = await database.pool.query<{ offset: bigint }>(
    `SELECT "offset" FROM dead_letters.dead_letters WHERE topic = 'settled' ORDER BY 1`,
  );
  expect(rows.map(({ offset: left }) => left)).toEqual([2n, 3n, 4n]);
});
