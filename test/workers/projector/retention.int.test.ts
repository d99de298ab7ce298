import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { microsOf } from '../../../backbone/changes/time-series.js';
import { createProjectorMetrics } from '../../../workers/projector/projector-metrics.js';
import { removeExpired } from '../../../workers/projector/retention.js';
import { applyTelemetry } from '../../../workers/projector/telemetry/apply-telemetry.js';
import { createReadingPartitions } from '../../../workers/projector/telemetry/reading-partitions.js';
import { createDatabase, silentLog, type TestDatabase } from '../../world/database.js';
import { telemetry } from './telemetry-model.js';

let database: TestDatabase;
const day = microsOf.day;
/** Noon of yesterday (UTC): in the past, and far from a change of day, whenever the test runs. */
const now = Math.floor((Date.now() * 1_000) / day) * day - 12 * microsOf.hour;
const never = new AbortController().signal;

beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const options = () => ({
  pool: database.pool,
  log: silentLog,
  telemetryRetentionDays: 3,
  changesRetentionMs: 3_600_000,
});

async function store(tenant: string, ...ages: number[]): Promise<void> {
  await applyTelemetry(
    {
      pool: database.pool,
      partitions: createReadingPartitions(database),
      retentionDays: 1_000,
      maxFutureMs: 0,
      metrics: createProjectorMetrics(new Registry()),
      log: silentLog,
    },
    ages.map((age) => telemetry(tenant, `${tenant}-device`, [{ metric: 'm', atMicros: now - age, value: 1 }])),
  );
}

const count = async (table: string): Promise<number> => {
  const { rows } = await database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM projections.${table}`);
  return rows[0]?.n ?? 0;
};

test('drops days and minutes that are older than they are kept, and no hour', async () => {
  await store('acme', 0, day, 3 * day - 1, 3 * day + microsOf.hour, 4 * day, 5 * day, 100 * day);
  expect(await removeExpired(options(), now / 1_000, never)).toBe(true);
  // Whole days go: of the fourth day back, which is partly within the retention, all stays.
  const { rows } = await database.pool.query<{ age: number }>(
    `SELECT ($1::float8 - extract(epoch FROM at)::float8 * 1000000) / $2::float8 AS age FROM projections.readings ORDER BY 1`,
    [now, day],
  );
  expect(rows.map(({ age }) => Math.floor(age + 0.001))).toEqual([0, 1, 3, 3]);
  expect(await count('rollups_1m')).toBe(6);
  expect(await count('rollups_1h')).toBe(7);
});

test("deletes from the oldest on, so that what is left of a tenant's log has no hole", async () => {
  for (let n = 0; n < 6; n += 1) await store('globex', n + 1);
  // A clock that jumped back: the fourth change looks older than the third.
  for (const [seq, age] of [
    [1, 7_200],
    [2, 7_100],
    [3, 60],
    [4, 7_000],
  ])
    await database.pool.query(
      `UPDATE projections.changes SET at = now() - $2::int * interval '1 second' WHERE tenant = 'globex' AND seq = $1::bigint`,
      [seq, age],
    );
  await removeExpired(options(), Date.now(), never);
  const { rows } = await database.pool.query<{ seq: bigint }>(
    `SELECT seq FROM projections.changes WHERE tenant = 'globex' ORDER BY seq`,
  );
  expect(rows.map(({ seq }) => Number(seq))).toEqual([5, 6]);
});

test('one at a time: who does not get the lock leaves it to the other', async () => {
  const client = await database.pool.connect();
  try {
    await client.query('SELECT pg_advisory_lock(72707403)');
    expect(await removeExpired(options(), now / 1_000, never)).toBe(false);
    await client.query('SELECT pg_advisory_unlock(72707403)');
  } finally {
    client.release();
  }
  expect(await removeExpired(options(), now / 1_000, never)).toBe(true);
  // And it lets go of it, every time.
  expect(await removeExpired(options(), now / 1_000, never)).toBe(true);
});
