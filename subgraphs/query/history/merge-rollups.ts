/** Points of a series from rollups: pure, so that it can be held against a recomputation from the readings. */
import { startOfSpan, type EpochMicros } from '../../../backbone/changes/time-series.js';

export type MetricValue = number | boolean | string;

export interface RollupRow {
  readonly bucket: EpochMicros;
  readonly count: number;
  /** Null where there is no mean: a value that is not a number is among them. */
  readonly sum: number | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly last: MetricValue;
}

export interface TelemetryPoint {
  readonly at: Date;
  readonly last: MetricValue;
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  readonly count: number;
}

/** One reading as a point. */
export function pointOfReading(at: EpochMicros, value: MetricValue): TelemetryPoint {
  const number = typeof value === 'number' ? value : null;
  return { at: new Date(at / 1_000), last: value, min: number, max: number, mean: number, count: 1 };
}

/** Rollups, in order of time, as one point for each span of `micros` that has any. */
export function mergeRollups(rows: readonly RollupRow[], micros: number): readonly TelemetryPoint[] {
  const points: TelemetryPoint[] = [];
  let current: RollupRow | undefined;
  for (const row of rows) {
    const start = startOfSpan(row.bucket, micros);
    if (current !== undefined && current.bucket === start) {
      current = {
        bucket: start,
        count: current.count + row.count,
        sum: current.sum === null || row.sum === null ? null : current.sum + row.sum,
        min: extreme(Math.min, current.min, row.min),
        max: extreme(Math.max, current.max, row.max),
        last: row.last,
      };
    } else {
      if (current !== undefined) points.push(pointOf(current));
      current = { ...row, bucket: start };
    }
  }
  if (current !== undefined) points.push(pointOf(current));
  return points;
}

function pointOf({ bucket, count, sum, min, max, last }: RollupRow): TelemetryPoint {
  const mean = sum === null || !Number.isFinite(sum) ? null : sum / count;
  return { at: new Date(bucket / 1_000), last, min, max, mean, count };
}

function extreme(choose: (a: number, b: number) => number, a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : choose(a, b);
}
