import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sqlOf } from '../../../../platform/database/sql.js';
import {
  addTargets,
  closeTargets,
  defineTargetTypes,
  findKnownTargets,
  findTarget,
  type TargetKey,
} from '../../../../subgraphs/actions/target/target-rows.js';
import { createDatabase, type TestDatabase } from '../../../world/database.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const described = (key: TargetKey, typeId = 'generic', at = '2026-11-23T00:00:00.000Z') => ({
  ...key,
  typeId,
  at,
  labels: { site: 'north' },
});

test('in any order and with repeats, a device is active exactly if it exists and its end was not heard of', async () => {
  const sql = sqlOf(database.pool);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom('exists', 'gone'), { maxLength: 8 }), async (heard) => {
      const key = { tenant: 'acme', deviceId: randomUUID() };
      for (const what of heard)
        await (what === 'exists' ? addTargets(sql, [described(key), described(key)]) : closeTargets(sql, [key, key]));
      const expected =
        heard.length === 0 ? undefined : { active: !heard.includes('gone'), typeId: 'generic', commands: [] };
      expect(await findTarget(sql, key)).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

test('what another tenant says of a device of the same id changes nothing', async () => {
  const sql = sqlOf(database.pool);
  const deviceId = randomUUID();
  await addTargets(sql, [described({ tenant: 'acme', deviceId })]);
  await closeTargets(sql, [{ tenant: 'globex', deviceId }]);
  await addTargets(sql, [described({ tenant: 'globex', deviceId })]);
  expect(await findTarget(sql, { tenant: 'acme', deviceId })).toMatchObject({ active: true });
  expect(await findTarget(sql, { tenant: 'globex', deviceId })).toBeUndefined();
});

test('what happened later holds, in whatever order it is heard of', async () => {
  const sql = sqlOf(database.pool);
  const times = ['2026-11-23T00:00:00.001Z', '2026-11-23T00:00:00.002Z', '2026-11-23T00:00:00.003Z'];
  const all = { minLength: times.length, maxLength: times.length };
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray(times, all), fc.shuffledSubarray(times, all), async (devices, types) => {
      const key = { tenant: 'acme', deviceId: randomUUID() };
      const typeOf = (at: string) => `${key.deviceId}-${at === times[2] ? 'last' : 'other'}`;
      for (const at of devices) await addTargets(sql, [described(key, typeOf(at), at)]);
      expect(await findTarget(sql, key)).toEqual({ active: true, typeId: typeOf(times[2] ?? ''), commands: undefined });
      expect(await findKnownTargets(sql, [key])).toEqual([]);
      for (const at of types)
        await defineTargetTypes(sql, [
          {
            tenant: 'globex',
            typeId: typeOf(times[2] ?? ''),
            commands: [{ name: 'foreign' }],
            at: '2027-01-01T00:00:00Z',
          },
          { tenant: 'acme', typeId: typeOf(times[2] ?? ''), commands: [{ name: at }], at },
        ]);
      expect(await findTarget(sql, key)).toMatchObject({ commands: [{ name: times[2] }] });
      expect(await findKnownTargets(sql, [key])).toEqual([key]);
    }),
    { numRuns: 10 },
  );
});
