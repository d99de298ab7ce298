import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sqlOf } from '../../../../platform/database/sql.js';
import { addTargets, closeTargets, findTarget } from '../../../../subgraphs/actions/target/target-rows.js';
import { createDatabase, type TestDatabase } from '../../../world/database.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

test('in any order and with repeats, a device is active exactly if it exists and its end was not heard of', async () => {
  const sql = sqlOf(database.pool);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom('exists', 'gone'), { maxLength: 8 }), async (heard) => {
      const key = { tenant: 'acme', deviceId: randomUUID() };
      for (const what of heard) await (what === 'exists' ? addTargets(sql, [key, key]) : closeTargets(sql, [key, key]));
      const expected = heard.length === 0 ? undefined : { active: !heard.includes('gone') };
      expect(await findTarget(sql, key)).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

test('what another tenant says of a device of the same id changes nothing', async () => {
  const sql = sqlOf(database.pool);
  const deviceId = randomUUID();
  await addTargets(sql, [{ tenant: 'acme', deviceId }]);
  await closeTargets(sql, [{ tenant: 'globex', deviceId }]);
  await addTargets(sql, [{ tenant: 'globex', deviceId }]);
  expect(await findTarget(sql, { tenant: 'acme', deviceId })).toEqual({ active: true });
  expect(await findTarget(sql, { tenant: 'globex', deviceId })).toBeUndefined();
});
