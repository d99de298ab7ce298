/** A mutation that is repeated under its key is done once and answered each time. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { once, purgeIdempotencyKeys } from '../../../backbone/store/idempotency.js';
import { createPrisma, type PrismaClient } from '../../../platform/database/prisma.js';
import { inTransaction, sqlOf, sqlOfPrisma, type Sql } from '../../../platform/database/sql.js';
import { createDatabase, type TestDatabase } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';

const table = 'device.idempotency_keys';
let database: TestDatabase;
let prisma: PrismaClient;
beforeAll(async () => {
  database = await createDatabase();
  prisma = createPrisma({ url: database.url, size: 4, applicationName: 'idempotency-test' });
});
afterAll(async () => {
  await prisma.$disconnect();
  await database[Symbol.asyncDispose]();
});

const transactions: [string, <T>(work: (sql: Sql) => Promise<T>) => Promise<T>][] = [
  ['pg', (work) => inTransaction(database.pool, work)],
  ['Prisma', (work) => prisma.$transaction((transaction) => work(sqlOfPrisma(transaction)))],
];
const ask = (key: string, request: unknown = { a: 1 }) => ({ tenant: 'acme', operation: 'test', key, request });

test.each(transactions)(
  '%s: the second call gets the reply of the first, and its work is not done',
  async (driver, transact) => {
    let done = 0;
    const call = () =>
      transact((sql) =>
        once(sql, table, ask(`replay-${driver}`), async () => {
          done += 1;
          return { reply: done, text: 'it’s "so"', list: [1, null] };
        }),
      );
    const response = { reply: 1, text: 'it’s "so"', list: [1, null] };
    expect(await call()).toEqual({ response, replayed: false });
    expect(await call()).toEqual({ response, replayed: true });
    expect(done).toBe(1);
  },
);

test('of two calls at once one waits, and both get one reply', async () => {
  let done = 0;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const call = () =>
    inTransaction(database.pool, (sql) =>
      once(sql, table, ask('together'), async () => {
        done += 1;
        await held;
        return done;
      }),
    );
  const calls = [call(), call(), call()];
  await eventually(async () => {
    const { rows } = await database.pool.query(
      `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'`,
    );
    expect(rows).toHaveLength(2);
  });
  release();
  expect((await Promise.all(calls)).map(({ response }) => response)).toEqual([1, 1, 1]);
  expect(done).toBe(1);
});

test('work that fails keeps nothing: the retry does it', async () => {
  const call = (fail: boolean) =>
    inTransaction(database.pool, (sql) =>
      once(sql, table, ask('failing'), async () => {
        if (fail) throw new Error('not now');
        return 'done';
      }),
    );
  await expect(call(true)).rejects.toThrow('not now');
  expect(await call(false)).toEqual({ response: 'done', replayed: false });
});

test('the same key with another input is CONFLICT, whatever the order of its fields', async () => {
  const call = (request: unknown) =>
    inTransaction(database.pool, (sql) => once(sql, table, ask('other-input', request), async () => 'reply'));
  await call({ a: 1, b: { c: 2, d: [1, 2] } });
  expect(await call({ b: { d: [1, 2], c: 2 }, a: 1 })).toMatchObject({ replayed: true });
  for (const other of [{ a: 1, b: { c: 2, d: [2, 1] } }, { a: 1 }, undefined])
    await expect(call(other)).rejects.toMatchObject({ code: 'CONFLICT', field: 'input.idempotencyKey' });
});

test('a key holds within its tenant and operation', async () => {
  const call = (tenant: string, operation: string) =>
    inTransaction(database.pool, (sql) =>
      once(sql, table, { tenant, operation, key: 'mine', request: 1 }, async () => `${tenant} ${operation}`),
    );
  expect(await call('acme', 'a')).toMatchObject({ replayed: false });
  expect(await call('acme', 'b')).toMatchObject({ replayed: false, response: 'acme b' });
  expect(await call('rival', 'a')).toMatchObject({ replayed: false, response: 'rival a' });
});

test('a key has 1 to 200 characters', async () => {
  const call = (key: string) => inTransaction(database.pool, (sql) => once(sql, table, ask(key), async () => 1));
  for (const key of ['', 'x'.repeat(201)])
    await expect(call(key)).rejects.toMatchObject({ code: 'BAD_USER_INPUT', field: 'input.idempotencyKey' });
  expect(await call('x'.repeat(200))).toMatchObject({ replayed: false });
});

test('old keys are forgotten, young ones are not', async () => {
  const sql = sqlOf(database.pool);
  await inTransaction(database.pool, (transaction) => once(transaction, table, ask('old'), async () => 1));
  await inTransaction(database.pool, (transaction) => once(transaction, table, ask('young'), async () => 1));
  await sql.query(`UPDATE ${table} SET created_at = now() - interval '7 days 1 minute' WHERE key = 'old'`);
  expect(await purgeIdempotencyKeys(sql, table)).toBe(1);
  const call = (key: string) =>
    inTransaction(database.pool, (transaction) => once(transaction, table, ask(key), async () => 2));
  expect(await call('old')).toMatchObject({ replayed: false });
  expect(await call('young')).toMatchObject({ replayed: true, response: 1 });
});
