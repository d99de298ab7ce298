/** What the tables hold, in the shape of the model. */
import type pg from 'pg';
import type { ReadingInput, RollupModel } from './telemetry-model.js';

interface ValueColumns {
  readonly number: number | null;
  readonly other: boolean | string | null;
}

const valueOf = ({ number, other }: ValueColumns): number | boolean | string => number ?? other ?? 'no value';

export async function storedReadings(pool: pg.Pool, tenant: string): Promise<ReadonlyMap<string, ReadingInput>> {
  const { rows } = await pool.query<ValueColumns & { device_id: string; metric: string; at: number }>(
    `SELECT device_id, metric, (extract(epoch FROM at) * 1000000)::float8 AS at, number, other
     FROM projections.readings WHERE tenant = $1`,
    [tenant],
  );
  return new Map(
    rows.map((row) => [
      `${row.device_id}/${row.metric}/${row.at}`,
      { deviceId: row.device_id, metric: row.metric, atMicros: row.at, value: valueOf(row) },
    ]),
  );
}

export async function storedRollups(
  pool: pg.Pool,
  table: 'rollups_1m' | 'rollups_1h',
  tenant: string,
): Promise<ReadonlyMap<string, RollupModel>> {
  const { rows } = await pool.query<{
    device_id: string;
    metric: string;
    bucket: number;
    count: number;
    sum: number | null;
    min: number | null;
    max: number | null;
    last_at: number;
    last_number: number | null;
    last_other: boolean | string | null;
  }>(
    `SELECT device_id, metric, (extract(epoch FROM bucket) * 1000000)::float8 AS bucket, count, sum, min, max,
            (extract(epoch FROM last_at) * 1000000)::float8 AS last_at, last_number, last_other
     FROM projections.${table} WHERE tenant = $1`,
    [tenant],
  );
  return new Map(
    rows.map((row) => [
      `${row.device_id}/${row.metric}/${row.bucket}`,
      {
        count: row.count,
        sum: row.sum,
        min: row.min,
        max: row.max,
        lastMicros: row.last_at,
        last: valueOf({ number: row.last_number, other: row.last_other }),
      },
    ]),
  );
}

export interface StoredState {
  readonly version: bigint;
  readonly metrics: Record<string, { value: number | boolean | string; at: number }>;
  readonly online: boolean;
  readonly last_seen: Date | null;
}

export async function storedStates(pool: pg.Pool, tenant: string): Promise<ReadonlyMap<string, StoredState>> {
  const { rows } = await pool.query<StoredState & { device_id: string }>(
    'SELECT device_id, version, metrics, online, last_seen FROM projections.device_states WHERE tenant = $1',
    [tenant],
  );
  return new Map(rows.map(({ device_id, ...state }) => [device_id, state]));
}
