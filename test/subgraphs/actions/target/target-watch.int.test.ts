import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sqlOf, type Sql } from '../../../../platform/database/sql.js';
import { addTargets } from '../../../../subgraphs/actions/target/target-rows.js';
import { createTargetWatch } from '../../../../subgraphs/actions/target/target-watch.js';
import { createDatabase, silentLog, type TestDatabase } from '../../../world/database.js';
import { eventually, within } from '../../../world/eventually.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const newKey = () => ({ tenant: 'acme', deviceId: randomUUID() });

/** The database, with a count of the statements that it was asked. */
function counting(): Sql & { readonly asked: () => number } {
  const sql = sqlOf(database.pool);
  let asked = 0;
  return {
    asked: () => asked,
    query(text, parameters) {
      asked += 1;
      return sql.query(text, parameters);
    },
  };
}

test('who waits is woken by the announcement, each for its own device and tenant', async () => {
  const watch = createTargetWatch({ sql: counting(), log: silentLog });
  const [mine, other] = [newKey(), newKey()];
  const woken = watch.known(mine, 10_000);
  const waits = watch.known(other, 300);
  watch.announce([mine, { ...other, tenant: 'globex' }]);
  expect(await within(woken, 1_000, 'the announcement')).toBe(true);
  expect(await waits).toBe(false);
  await watch.stop();
});

test('a device that another instance has heard of is found by the poll', async () => {
  const watch = createTargetWatch({ sql: counting(), log: silentLog });
  const key = newKey();
  const found = watch.known(key, 10_000);
  await addTargets(sqlOf(database.pool), [{ ...key, typeId: 'generic', labels: {}, at: '2026-11-23T00:00:00Z' }]);
  expect(await within(found, 2_000, 'the poll')).toBe(true);
  await watch.stop();
});

test('a device that became known before the wait began is found at once', async () => {
  const watch = createTargetWatch({ sql: counting(), log: silentLog });
  const key = newKey();
  await addTargets(sqlOf(database.pool), [{ ...key, typeId: 'generic', labels: {}, at: '2026-11-23T00:00:00Z' }]);
  expect(await within(watch.known(key, 10_000), 1_000, 'the first look')).toBe(true);
  await watch.stop();
});

test('all who wait share the statements of the poll, and nobody polls when nobody waits', async () => {
  const sql = counting();
  const watch = createTargetWatch({ sql, log: silentLog });
  const waits = await Promise.all(Array.from({ length: 200 }, () => watch.known(newKey(), 350)));
  expect(waits).toEqual(Array.from({ length: 200 }, () => false));
  const asked = sql.asked();
  expect(asked).toBeGreaterThan(1);
  expect(asked).toBeLessThanOrEqual(6);
  const again = watch.known(newKey(), 50);
  expect(await again).toBe(false);
  expect(sql.asked()).toBeLessThanOrEqual(asked + 2);
  await watch.stop();
});

test('the poll goes on when the database fails it once', async () => {
  const real = sqlOf(database.pool);
  let failed = false;
  const watch = createTargetWatch({
    sql: {
      query<Row>(text: string, parameters?: readonly unknown[]) {
        if (failed) return real.query<Row>(text, parameters);
        failed = true;
        return real.query<Row>('SELECT pg_terminate_backend(pg_backend_pid())');
      },
    },
    log: silentLog,
  });
  const key = newKey();
  await addTargets(real, [{ ...key, typeId: 'generic', labels: {}, at: '2026-11-23T00:00:00Z' }]);
  expect(await within(watch.known(key, 10_000), 2_000, 'the second look')).toBe(true);
  await watch.stop();
});

test('more than a thousand are not let in: they may try again', async () => {
  const watch = createTargetWatch({ sql: counting(), log: silentLog });
  const waits = Array.from({ length: 1_000 }, () => watch.known(newKey(), 60_000));
  await expect(watch.known(newKey(), 60_000)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  const settled = Promise.allSettled(waits);
  await watch.stop();
  const results = await within(settled, 1_000, 'the stop');
  expect(results.every(({ status }) => status === 'rejected')).toBe(true);
  await expect(watch.known(newKey(), 60_000)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await eventually(() => expect(database.pool.totalCount).toBe(database.pool.idleCount));
});
