import fc from 'fast-check';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { microsOf } from '../../../../backbone/changes/time-series.js';
import { createProjectorMetrics } from '../../../../workers/projector/projector-metrics.js';
import { applyTelemetry, type TelemetryOptions } from '../../../../workers/projector/telemetry/apply-telemetry.js';
import {
  createReadingPartitions,
  dropPartitionsBefore,
} from '../../../../workers/projector/telemetry/reading-partitions.js';
import { createDatabase, silentLog, type TestDatabase } from '../../../world/database.js';
import { storedReadings, storedRollups, storedStates } from '../stored-telemetry.js';
import { latestModel, rawModel, rollupModel, telemetry } from '../telemetry-model.js';

let database: TestDatabase;
let options: TelemetryOptions;
let tenants = 0;
const newTenant = (): string => `tenant-${(tenants += 1)}`;

beforeAll(async () => {
  database = await createDatabase();
  options = {
    pool: database.pool,
    partitions: createReadingPartitions({ pool: database.pool }),
    retentionDays: 30,
    maxFutureMs: 300_000,
    metrics: createProjectorMetrics(new Registry()),
    log: silentLog,
  };
});
afterAll(() => database[Symbol.asyncDispose]());

/** An hour before midnight UTC two days ago: readings around it fall on two days, so on two partitions. */
const lateEvening = Math.floor((Date.now() * 1_000) / microsOf.day) * microsOf.day - microsOf.day - microsOf.hour;

const value = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: -1_000, max: 1_000 }) },
  fc.boolean(),
  fc.string({ maxLength: 5 }).filter((text) => !text.includes('\0')),
);

/** Few devices, metrics and times, so that readings collide in identity, minute and hour. */
const message = fc.record({
  device: fc.integer({ min: 0, max: 2 }),
  readings: fc.array(
    fc.record({
      metric: fc.constantFrom('temperature', 'mode', '__proto__'),
      offset: fc.oneof(
        fc.integer({ min: 0, max: 40 }).map((n) => n * 20_000_001),
        fc.integer({ min: 0, max: 7_300_000_000 }),
      ),
      value,
    }),
    { minLength: 1, maxLength: 6 },
  ),
});

test('series, rollups and states equal a recomputation from the raw readings, whatever the order, lateness and repetition', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      fc.integer({ min: 1, max: 5 }),
      async (messages, repeats, batchSize) => {
        const tenant = newTenant();
        const events = messages.map(({ device, readings }, index) =>
          telemetry(
            tenant,
            `${tenant}-device-${device}`,
            readings.map(({ metric, offset, value }) => ({ metric, value, atMicros: lateEvening + offset })),
            new Date(Date.now() - 60_000 + index),
          ),
        );
        const deliveries = [
          ...events,
          ...repeats.map((n) => events[n % events.length]).filter((event) => event !== undefined),
        ];
        for (let start = 0; start < deliveries.length; start += batchSize)
          await applyTelemetry(options, deliveries.slice(start, start + batchSize));

        const raw = rawModel(deliveries);
        expect(await storedReadings(database.pool, tenant)).toEqual(raw);
        expect(await storedRollups(database.pool, 'rollups_1m', tenant)).toEqual(
          rollupModel(raw.values(), microsOf.minute),
        );
        expect(await storedRollups(database.pool, 'rollups_1h', tenant)).toEqual(
          rollupModel(raw.values(), microsOf.hour),
        );
        const states = await storedStates(database.pool, tenant);
        const latest = latestModel(raw.values());
        expect(new Map([...states].map(([id, { metrics }]) => [id, metrics]))).toEqual(latest);
        for (const [id, { last_seen: lastSeen }] of states)
          expect(lastSeen?.toISOString()).toBe(events.findLast(({ data }) => data.deviceId === id)?.time);
      },
    ),
    { numRuns: 60 },
  );
}, 60_000);

test('batches of several projectors at once add up', async () => {
  const tenant = newTenant();
  const events = Array.from({ length: 200 }, (_, n) =>
    telemetry(tenant, `${tenant}-device-${n % 7}`, [
      { metric: 'temperature', atMicros: lateEvening + (n % 50) * 1_000_000, value: n },
    ]),
  );
  // Each event is delivered twice, to different projectors, side by side.
  const batches = Array.from({ length: 20 }, (_, n) => events.slice(n * 10, n * 10 + 10));
  await Promise.all([...batches, ...batches.toReversed()].map((batch) => applyTelemetry(options, batch)));
  const raw = await storedReadings(database.pool, tenant);
  expect(new Set(raw.keys())).toEqual(new Set(rawModel(events).keys()));
  expect(await storedRollups(database.pool, 'rollups_1m', tenant)).toEqual(rollupModel(raw.values(), microsOf.minute));
});

test('numbers changes of a tenant without a gap, also when batches commit side by side', async () => {
  const tenant = newTenant();
  await Promise.all(
    Array.from({ length: 30 }, (_, n) =>
      applyTelemetry(options, [
        telemetry(tenant, `${tenant}-device-${n}`, [{ metric: 'm', atMicros: lateEvening, value: n }]),
        telemetry(tenant, `${tenant}-device-${(n + 1) % 30}`, [{ metric: 'm', atMicros: lateEvening + n, value: n }]),
      ]),
    ),
  );
  const { rows } = await database.pool.query<{ seq: bigint }>(
    'SELECT seq FROM projections.changes WHERE tenant = $1 ORDER BY seq',
    [tenant],
  );
  expect(rows.length).toBeGreaterThanOrEqual(58);
  expect(rows.map(({ seq }) => Number(seq))).toEqual(rows.map((_, index) => index + 1));
});

test('a delivery that brings nothing new changes no version and logs no change', async () => {
  const tenant = newTenant();
  const event = telemetry(tenant, `${tenant}-device`, [{ metric: 'm', atMicros: lateEvening, value: 1 }]);
  expect(await applyTelemetry(options, [event])).toHaveLength(1);
  expect(await applyTelemetry(options, [event, event])).toEqual([]);
  expect((await storedStates(database.pool, tenant)).get(`${tenant}-device`)?.version).toBe(1n);
});

test('a reading outside of what can be stored is left out and the rest of the batch is stored', async () => {
  const tenant = newTenant();
  const now = Date.now() * 1_000;
  await applyTelemetry(options, [
    telemetry(tenant, `${tenant}-device`, [
      { metric: 'm', atMicros: now - 31 * microsOf.day, value: 'too old' },
      { metric: 'm', atMicros: now + microsOf.day, value: 'too far ahead' },
      { metric: 'm', atMicros: now, value: 'nul \0 and half a surrogate \ud800 pair' },
    ]),
  ]);
  expect([...(await storedReadings(database.pool, tenant)).values()]).toEqual([
    { deviceId: `${tenant}-device`, metric: 'm', atMicros: now, value: 'nul \ufffd and half a surrogate \ufffd pair' },
  ]);
});

test('sums that leave the range of a double cost the mean, not the batch', async () => {
  const tenant = newTenant();
  const huge = (offset: number) =>
    telemetry(tenant, `${tenant}-device`, [{ metric: 'm', atMicros: lateEvening + offset, value: 1.7e308 }]);
  await applyTelemetry(options, [huge(0), huge(1)]);
  await applyTelemetry(options, [huge(2)]);
  const [rollup] = (await storedRollups(database.pool, 'rollups_1m', tenant)).values();
  expect(rollup).toMatchObject({ count: 3, sum: null, min: 1.7e308, max: 1.7e308 });
});

test("another tenant can't change a device by naming its id", async () => {
  const [owner, other] = [newTenant(), newTenant()];
  const reading = { metric: 'm', atMicros: lateEvening, value: 1 };
  await applyTelemetry(options, [telemetry(owner, `${owner}-device`, [reading])]);
  await applyTelemetry(options, [
    telemetry(other, `${owner}-device`, [{ ...reading, atMicros: lateEvening + 1, value: 666 }]),
  ]);
  expect((await storedStates(database.pool, owner)).get(`${owner}-device`)?.metrics).toEqual({
    m: { value: 1, at: lateEvening / 1_000 },
  });
  expect((await storedReadings(database.pool, other)).size).toBe(0);
});

test('makes a partition that retention dropped again, at the next attempt', async () => {
  const tenant = newTenant();
  const day = lateEvening - 20 * microsOf.day;
  const event = (offset: number) =>
    telemetry(tenant, `${tenant}-device`, [{ metric: 'm', atMicros: day + offset, value: offset }]);
  await applyTelemetry(options, [event(1)]);
  expect(await dropPartitionsBefore(database.pool, day + 2 * microsOf.day, 5_000)).not.toEqual([]);
  await expect(applyTelemetry(options, [event(2)])).rejects.toMatchObject({ code: '23514' });
  await applyTelemetry(options, [event(2)]);
  expect([...(await storedReadings(database.pool, tenant)).values()].map(({ value }) => value)).toEqual([2]);
});
