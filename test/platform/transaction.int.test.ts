import { afterAll, beforeAll, expect, test } from 'vitest';
import { only, inTransaction } from '../../platform/database/sql.js';
import { isTransientDatabaseError } from '../../platform/database/transient.js';
import { createDatabase, type TestDatabase } from '../world/database.js';
import { eventually } from '../world/eventually.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

test('a connection that is cut between two statements fails the transaction, not the process', async () => {
  const failing = inTransaction(database.pool, async (sql, client) => {
    const { pid } = only(await sql.query<{ pid: number }>('SELECT pg_backend_pid() AS pid'));
    const ended = new Promise<void>((resolve) => {
      client.once('end', () => resolve());
    });
    await database.pool.query('SELECT pg_terminate_backend($1)', [pid]);
    await ended;
    await sql.query('SELECT 1');
  });
  const error: unknown = await failing.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Error);
  expect(isTransientDatabaseError(error)).toBe(true);
  // The broken connection did not go back to the pool.
  await eventually(async () => expect((await database.pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]));
  expect(database.pool.totalCount).toBe(database.pool.idleCount);
});

test('a transaction that fails leaves nothing behind, and its connection is used again', async () => {
  const before = database.pool.totalCount;
  await expect(
    inTransaction(database.pool, async (sql) => {
      await sql.query(`INSERT INTO actions.command_targets VALUES ('d', 'acme', true, 1)`);
      throw new Error('changed my mind');
    }),
  ).rejects.toThrow('changed my mind');
  expect((await database.pool.query('SELECT 1 FROM actions.command_targets')).rows).toEqual([]);
  expect(database.pool.totalCount).toBe(before);
});
