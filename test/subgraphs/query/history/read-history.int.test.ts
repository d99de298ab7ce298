import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { microsOf, startOfSpan } from '../../../../backbone/changes/time-series.js';
import { sqlOf } from '../../../../platform/database/sql.js';
import {
  readHistories,
  type HistoryRequest,
  type TelemetrySeries,
} from '../../../../subgraphs/query/history/read-history.js';
import { createProjectorMetrics } from '../../../../workers/projector/projector-metrics.js';
import { applyTelemetry } from '../../../../workers/projector/telemetry/apply-telemetry.js';
import {
  createReadingPartitions,
  dropPartitionsBefore,
} from '../../../../workers/projector/telemetry/reading-partitions.js';
import { createDatabase, silentLog, type TestDatabase } from '../../../world/database.js';
import { telemetry } from '../../../workers/projector/telemetry-model.js';

/** Ten days, one reading each 90 s, so that minutes have one or none and hours have forty. */
const step = 90_000_000;
const days = 10;
const end = startOfSpan(Date.now() * 1_000, microsOf.day);
const begin = end - days * microsOf.day;
const values = Array.from({ length: (days * microsOf.day) / step }, (_, n) => ({
  atMicros: begin + n * step,
  value: n % 97,
}));

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
  const options = {
    pool: database.pool,
    partitions: createReadingPartitions(database),
    retentionDays: 30,
    maxFutureMs: 0,
    metrics: createProjectorMetrics(new Registry()),
    log: silentLog,
  };
  const readings = values.map((each) => ({ ...each, metric: 'm' }));
  for (let start = 0; start < readings.length; start += 2_000)
    await applyTelemetry(options, [telemetry('acme', 'device', readings.slice(start, start + 2_000))]);
  await applyTelemetry(options, [
    telemetry('acme', 'other', [
      { metric: 'm', atMicros: begin + 1_234, value: true },
      { metric: 'm', atMicros: begin + 61_000_000, value: 'text' },
      { metric: 'm', atMicros: begin + 62_000_000, value: 3 },
    ]),
  ]);
});
afterAll(() => database[Symbol.asyncDispose]());

async function read(
  request: Omit<HistoryRequest, 'metric'>,
  ids = ['device'],
  tenant = 'acme',
  retentionDays = 30,
): Promise<readonly TelemetrySeries[]> {
  return readHistories(sqlOf(database.pool), tenant, { metric: 'm', ...request }, ids, {
    nowMs: end / 1_000,
    retentionDays,
  });
}

async function readOne(request: Omit<HistoryRequest, 'metric'>, retentionDays = 30): Promise<TelemetrySeries> {
  const [series] = await read(request, ['device'], 'acme', retentionDays);
  if (series === undefined) throw new Error('no series');
  return series;
}

/** The points recomputed from the readings themselves. */
function expected(from: number, to: number, micros: number): unknown[] {
  const spans = groupBy(
    values.filter(
      ({ atMicros }) => atMicros >= startOfSpan(from, micros) && atMicros < startOfSpan(to - 1, micros) + micros,
    ),
    ({ atMicros }) => startOfSpan(atMicros, micros),
  );
  return [...spans].map(([start, readings]) => ({
    at: new Date(start / 1_000),
    last: readings.at(-1)?.value,
    min: Math.min(...readings.map(({ value }) => value)),
    max: Math.max(...readings.map(({ value }) => value)),
    mean: readings.reduce((sum, { value }) => sum + value, 0) / readings.length,
    count: readings.length,
  }));
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

test('gives the readings themselves if they fit', async () => {
  const series = await readOne({ from: begin, to: begin + 500 * step, maxPoints: 500 });
  expect(series).toMatchObject({ resolution: 'RAW', intervalSeconds: null });
  expect(series.points).toEqual(
    values.slice(0, 500).map(({ atMicros, value }) => ({
      at: new Date(atMicros / 1_000),
      last: value,
      min: value,
      max: value,
      mean: value,
      count: 1,
    })),
  );
});

test.each([
  ['minutes, when one reading is too many', begin, begin + 501 * step, 500, 'MINUTE', 2 * microsOf.minute],
  ['spans of minutes over a day', begin + 7, begin + microsOf.day, 500, 'MINUTE', 3 * microsOf.minute],
  ['hours over ten days', begin, end, 240, 'HOUR', microsOf.hour],
  ['spans of hours, when hours are too many', begin + 5 * microsOf.hour + 7, end, 30, 'HOUR', 8 * microsOf.hour],
  ['one point', begin, begin + microsOf.day, 1, 'HOUR', 24 * microsOf.hour],
] as const)(
  'gives %s, as a recomputation from the readings does',
  async (_name, from, to, maxPoints, resolution, micros) => {
    const series = await readOne({ from, to, maxPoints });
    expect(series).toMatchObject({ resolution, intervalSeconds: micros / 1_000_000 });
    expect(series.points).toEqual(expected(from, to, micros));
    expect(series.points.length).toBeLessThanOrEqual(maxPoints);
  },
);

test('reads many devices at once, in the order asked for, each at its own resolution', async () => {
  const series = await read({ from: begin, to: begin + microsOf.day, maxPoints: 100 }, ['none', 'other', 'device']);
  expect(series.map(({ resolution, points }) => [resolution, points.length])).toEqual([
    ['RAW', 0],
    ['RAW', 3],
    ['MINUTE', 96],
  ]);
});

test('values that are not numbers have a last and a count, and no mean where they are among numbers', async () => {
  const [raw] = await read({ from: begin, to: begin + microsOf.hour, maxPoints: 3 }, ['other']);
  expect(raw?.points.map(({ last, mean }) => [last, mean])).toEqual([
    [true, null],
    ['text', null],
    [3, 3],
  ]);
  const [rolled] = await read({ from: begin, to: begin + microsOf.minute * 2, maxPoints: 2 }, ['other']);
  expect(rolled?.points).toEqual([
    { at: new Date(begin / 1_000), last: true, min: null, max: null, mean: null, count: 1 },
    { at: new Date(begin / 1_000 + 60_000), last: 3, min: 3, max: 3, mean: null, count: 2 },
  ]);
});

test("gives nothing of another tenant's device", async () => {
  for (const maxPoints of [5_000, 10]) {
    const [series] = await read({ from: begin, to: end, maxPoints }, ['device'], 'globex');
    expect(series?.points).toEqual([]);
  }
});

test('refuses more points than one request can be given', async () => {
  const ids = Array.from({ length: 41 }, (_, n) => `device-${n}`);
  await expect(read({ from: begin, to: end, maxPoints: 5_000 }, ids)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
});

test('gives rollups where readings were dropped, rather than a series with a hole', async () => {
  await dropPartitionsBefore(database.pool, begin + 3 * microsOf.day, 5_000);
  const range = { from: begin, to: begin + 4 * microsOf.day, maxPoints: 5_000 };
  const series = await readOne(range, 7);
  expect(series.resolution).toBe('MINUTE');
  expect(series.points).toEqual(expected(range.from, range.to, 2 * microsOf.minute));
  // Behind the horizon the readings are all there.
  expect((await readOne({ ...range, from: begin + 3 * microsOf.day }, 7)).resolution).toBe('RAW');
});
