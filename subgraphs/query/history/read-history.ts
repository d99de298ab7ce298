/**
 * History of one metric of many devices, in two statements whatever the number of devices: the readings themselves as far
 * as `maxPoints` goes, and rollups for the devices that have more, or whose older readings are no longer kept.
 */
import {
  horizon,
  microsOf,
  microsSql,
  minuteRetentionDays,
  startOfSpan,
  timestampSql,
  type EpochMicros,
} from '../../../backbone/changes/time-series.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { readMetricName } from '../metric-name.js';
import { chooseSpan, type SeriesRange, type Span } from './choose-span.js';
import {
  mergeRollups,
  pointOfReading,
  type MetricValue,
  type RollupRow,
  type TelemetryPoint,
} from './merge-rollups.js';

export interface HistoryRequest extends SeriesRange {
  readonly metric: string;
  readonly maxPoints: number;
}

export interface TelemetrySeries {
  readonly metric: string;
  readonly from: Date;
  readonly to: Date;
  readonly resolution: 'RAW' | Span['resolution'];
  readonly intervalSeconds: number | null;
  readonly points: readonly TelemetryPoint[];
}

/** Most points that one request can be given, over all devices. */
const maxPointsOfRequest = 200_000;

/** Checks the arguments of `Device.telemetry`. @throws FleetgraphError BAD_USER_INPUT. */
export function parseHistoryRequest(
  args: { readonly metric: string; readonly from: Date; readonly to?: Date | null; readonly maxPoints?: number | null },
  nowMs: number,
): HistoryRequest {
  const maxPoints = args.maxPoints ?? 500;
  if (maxPoints < 1 || maxPoints > 5_000)
    throw new FleetgraphError('BAD_USER_INPUT', `"maxPoints" is ${maxPoints}; it must be from 1 to 5000.`, {
      field: 'maxPoints',
    });
  const from = args.from.getTime();
  const to = args.to?.getTime() ?? nowMs;
  if (from >= to)
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `The range is empty: "from" (${args.from.toISOString()}) must be before "to" (${new Date(to).toISOString()}).`,
      { field: 'from' },
    );
  // Spans are aligned to the epoch, and nothing was measured before it.
  const clamp = (ms: number): EpochMicros => Math.max(0, ms) * microsOf.millisecond;
  const metric = readMetricName(args.metric, 'metric');
  return { metric, maxPoints, from: clamp(from), to: Math.max(clamp(to), 1) };
}

/** The series of each device, in the order of the ids. */
export async function readHistories(
  sql: Sql,
  tenant: string,
  request: HistoryRequest,
  deviceIds: readonly string[],
  settings: { readonly nowMs: number; readonly retentionDays: number },
): Promise<readonly TelemetrySeries[]> {
  if (deviceIds.length * request.maxPoints > maxPointsOfRequest)
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `${deviceIds.length} devices with ${request.maxPoints} points each are more than ${maxPointsOfRequest} points. Ask for fewer devices or set "maxPoints" lower.`,
      { field: 'maxPoints' },
    );
  const now = settings.nowMs * microsOf.millisecond;
  const raw = await readRaw(sql, tenant, request, deviceIds);
  const fitting = deviceIds.filter((id) => (raw.get(id)?.length ?? 0) <= request.maxPoints);
  const rawFrom = startOfSpan(horizon(now, settings.retentionDays), microsOf.day);
  const incomplete = await withHistoryBefore(sql, tenant, request, rawFrom, fitting);
  const complete = new Set(fitting.filter((id) => !incomplete.has(id)));
  const rest = deviceIds.filter((id) => !complete.has(id));
  const span = chooseSpan(request, request.maxPoints, horizon(now, minuteRetentionDays(settings.retentionDays)));
  const rollups = await readRollups(sql, tenant, request, span, rest);
  const range = {
    metric: request.metric,
    from: new Date(request.from / microsOf.millisecond),
    to: new Date(request.to / microsOf.millisecond),
  };
  return deviceIds.map((id) =>
    complete.has(id)
      ? { ...range, resolution: 'RAW', intervalSeconds: null, points: raw.get(id) ?? [] }
      : {
          ...range,
          resolution: span.resolution,
          intervalSeconds: Math.min(span.micros / 1_000_000, 2 ** 31 - 1),
          points: mergeRollups(rollups.get(id) ?? [], span.micros),
        },
  );
}

/** Readings of each device, one more than `maxPoints` if there are more. */
async function readRaw(
  sql: Sql,
  tenant: string,
  { metric, from, to, maxPoints }: HistoryRequest,
  deviceIds: readonly string[],
): Promise<ReadonlyMap<string, readonly TelemetryPoint[]>> {
  const rows = await sql.query<{ device_id: string; at: EpochMicros; number: number | null; other: boolean | string }>(
    `SELECT d.id AS device_id, ${microsSql('r.at')} AS at, r.number, r.other
     FROM unnest($1::text[]) AS d(id) CROSS JOIN LATERAL (
       SELECT at, number, other FROM projections.readings
       WHERE device_id = d.id AND tenant = $2 AND metric = $3 AND at >= ${timestampSql('$4')} AND at < ${timestampSql('$5')}
       ORDER BY at LIMIT $6
     ) r`,
    [deviceIds, tenant, metric, from, to, maxPoints + 1],
  );
  return collect(rows, (row) => pointOfReading(row.at, row.number ?? row.other));
}

/** Devices that have history in the range from before `rawFrom`, where readings may have been dropped. */
async function withHistoryBefore(
  sql: Sql,
  tenant: string,
  { metric, from, to }: HistoryRequest,
  rawFrom: EpochMicros,
  deviceIds: readonly string[],
): Promise<ReadonlySet<string>> {
  if (from >= rawFrom || deviceIds.length === 0) return new Set();
  const rows = await sql.query<{ id: string }>(
    `SELECT d.id FROM unnest($1::text[]) AS d(id) WHERE EXISTS (
       SELECT FROM projections.rollups_1h
       WHERE device_id = d.id AND tenant = $2 AND metric = $3
         AND bucket >= ${timestampSql('$4')} AND bucket < ${timestampSql('$5')})`,
    [deviceIds, tenant, metric, startOfSpan(from, microsOf.hour), Math.min(rawFrom, to)],
  );
  return new Set(rows.map(({ id }) => id));
}

async function readRollups(
  sql: Sql,
  tenant: string,
  { metric, from, to }: HistoryRequest,
  span: Span,
  deviceIds: readonly string[],
): Promise<ReadonlyMap<string, readonly RollupRow[]>> {
  if (deviceIds.length === 0) return new Map();
  const table = span.resolution === 'MINUTE' ? 'rollups_1m' : 'rollups_1h';
  const rows = await sql.query<
    Omit<RollupRow, 'last'> & { device_id: string; last_number: number | null; last_other: MetricValue }
  >(
    `SELECT device_id, ${microsSql('bucket')} AS bucket, count, sum, min, max, last_number, last_other
     FROM projections.${table}
     WHERE device_id = ANY($1::text[]) AND tenant = $2 AND metric = $3
       AND bucket >= ${timestampSql('$4')} AND bucket < ${timestampSql('$5')}
     ORDER BY device_id, bucket`,
    // Spans at the ends of the range are counted whole.
    [deviceIds, tenant, metric, startOfSpan(from, span.micros), startOfSpan(to - 1, span.micros) + span.micros],
  );
  return collect(rows, (row) => ({ ...row, last: row.last_number ?? row.last_other }));
}

function collect<Row extends { readonly device_id: string }, Item>(
  rows: readonly Row[],
  itemOf: (row: Row) => Item,
): ReadonlyMap<string, readonly Item[]> {
  const groups = new Map<string, Item[]>();
  for (const row of rows) {
    const group = groups.get(row.device_id);
    if (group === undefined) groups.set(row.device_id, [itemOf(row)]);
    else group.push(itemOf(row));
  }
  return groups;
}
