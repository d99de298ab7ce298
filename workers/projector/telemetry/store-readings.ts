/** The statements that write the time series. Each takes any number of rows. */
import { microsOf, microsSql, timestampSql, type EpochMicros } from '../../../backbone/changes/time-series.js';
import type { Sql } from '../../../platform/database/sql.js';
import type { ProjectionSchema } from '../projection-schema.js';
import { identityOf, rollUp, type MetricValue, type StoredReading } from './fold-readings.js';

/** Inserts readings. @returns those that were not there before, in the order given. */
export async function insertReadings(sql: Sql, readings: readonly StoredReading[]): Promise<readonly StoredReading[]> {
  if (readings.length === 0) return [];
  const rows = await sql.query<{ device_id: string; metric: string; at: EpochMicros }>(
    `INSERT INTO projections.readings (device_id, metric, at, tenant, number, other)
     SELECT r.device_id, r.metric, ${timestampSql('r.at')}, r.tenant, r.number, r.other
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::float8[], $6::jsonb[])
          AS r(device_id, metric, at, tenant, number, other)
     ON CONFLICT (device_id, metric, at) DO NOTHING
     RETURNING device_id, metric, ${microsSql('at')} AS at`,
    [
      readings.map(({ deviceId }) => deviceId),
      readings.map(({ metric }) => metric),
      readings.map(({ atMicros }) => atMicros),
      readings.map(({ tenant }) => tenant),
      readings.map(({ value }) => numberOf(value)),
      readings.map(({ value }) => otherOf(value)),
    ],
  );
  if (rows.length === readings.length) return readings;
  const inserted = new Set(rows.map((row) => identityOf(row.device_id, row.metric, row.at)));
  return readings.filter(({ deviceId, metric, atMicros }) => inserted.has(identityOf(deviceId, metric, atMicros)));
}

/** Adds readings that were not stored before to the rollups of minutes and hours. */
export async function addToRollups(
  sql: Sql,
  readings: readonly StoredReading[],
  schema: ProjectionSchema = 'projections',
): Promise<void> {
  if (readings.length === 0) return;
  await upsertRollups(sql, `${schema}.rollups_1m`, readings, microsOf.minute);
  await upsertRollups(sql, `${schema}.rollups_1h`, readings, microsOf.hour);
}

async function upsertRollups(
  sql: Sql,
  table: `${ProjectionSchema}.rollups_${'1m' | '1h'}`,
  readings: readonly StoredReading[],
  span: number,
): Promise<void> {
  const rollups = rollUp(readings, span);
  // A sum beyond a double would fail the whole batch ("value out of range"): there is no mean then, as for mixed kinds.
  await sql.query(
    `INSERT INTO ${table} AS r
       (device_id, metric, bucket, tenant, count, sum, min, max, last_at, last_number, last_other)
     SELECT n.device_id, n.metric, ${timestampSql('n.bucket')}, n.tenant, n.count, n.sum, n.min, n.max,
            ${timestampSql('n.last_at')}, n.last_number, n.last_other
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::int[], $6::float8[], $7::float8[], $8::float8[],
                 $9::bigint[], $10::float8[], $11::jsonb[])
          AS n(device_id, metric, bucket, tenant, count, sum, min, max, last_at, last_number, last_other)
     ON CONFLICT (device_id, metric, bucket) DO UPDATE SET
       count = r.count + excluded.count,
       sum = CASE WHEN abs(r.sum) < 8e307 AND abs(excluded.sum) < 8e307 THEN r.sum + excluded.sum END,
       min = least(r.min, excluded.min),
       max = greatest(r.max, excluded.max),
       last_at = greatest(r.last_at, excluded.last_at),
       last_number = CASE WHEN excluded.last_at > r.last_at THEN excluded.last_number ELSE r.last_number END,
       last_other = CASE WHEN excluded.last_at > r.last_at THEN excluded.last_other ELSE r.last_other END`,
    [
      rollups.map(({ deviceId }) => deviceId),
      rollups.map(({ metric }) => metric),
      rollups.map(({ bucketMicros }) => bucketMicros),
      rollups.map(({ tenant }) => tenant),
      rollups.map(({ count }) => count),
      rollups.map(({ sum }) => sum),
      rollups.map(({ min }) => min),
      rollups.map(({ max }) => max),
      rollups.map(({ lastMicros }) => lastMicros),
      rollups.map(({ last }) => numberOf(last)),
      rollups.map(({ last }) => otherOf(last)),
    ],
  );
}

function numberOf(value: MetricValue): number | null {
  return typeof value === 'number' ? value : null;
}

function otherOf(value: MetricValue): string | null {
  return typeof value === 'number' ? null : JSON.stringify(value);
}
