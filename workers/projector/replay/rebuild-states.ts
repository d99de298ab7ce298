/**
 * What the state of a device shows of its metrics, found again in the time series: the last reading of each, as the rollups of hours
 * have it, which stay for good. Rows are put right where they are, page by page: whoever stores readings of a device locks its row
 * first, so under that lock the series stands still, and each device is switched over by itself. Of presence nothing is kept
 * but the state itself, so that stays as it is.
 */
import { isDeepStrictEqual } from 'node:util';
import type { LatestMetrics } from '../../../backbone/changes/change.js';
import { microsSql, toMicros, toMillis, type EpochMicros } from '../../../backbone/changes/time-series.js';
import type { Sql } from '../../../platform/database/sql.js';
import { appendChanges } from '../change-log.js';
import { lockDeviceStates, saveDeviceStates, type DeviceStateRow } from '../device-states.js';
import type { MetricValue, StoredReading } from '../telemetry/fold-readings.js';
import { latest } from '../telemetry/apply-telemetry.js';
import type { Replay, Replayed } from './rebuilding.js';

const pageSize = 200;

interface Device {
  readonly tenant: string;
  readonly deviceId: string;
}

/** Puts the states right. With `from`, of the metrics that have had a reading since then. */
export async function rebuildStates(replay: Replay): Promise<Replayed> {
  const from = replay.from === undefined ? undefined : toMicros(replay.from.getTime());
  let [read, mended] = [0, 0];
  for (let behind = ''; ;) {
    const devices = await devicesBehind(replay.sql, behind);
    const last = devices.at(-1);
    if (last === undefined) return { read, mended };
    const page = await replay.transaction((sql) => mendPage(sql, devices, from));
    read += page.read;
    mended += page.mended;
    behind = last.deviceId;
    await replay.progress(read);
  }
}

async function mendPage(
  sql: Sql,
  devices: readonly Device[],
  from: EpochMicros | undefined,
): Promise<{ read: number; mended: number }> {
  const rows = await lockDeviceStates(sql, devices);
  const readings = await lastReadings(sql, [...rows.keys()]);
  const readingsOf = new Map<string, StoredReading[]>([...rows.keys()].map((id) => [id, []]));
  for (const reading of readings) readingsOf.get(reading.deviceId)?.push(reading);
  const changed = [...rows.values()].flatMap((row) => mendedRow(row, readingsOf.get(row.deviceId) ?? [], from));
  await appendChanges(
    sql,
    await saveDeviceStates(
      sql,
      changed.map((row) => ({ ...row, kind: 'telemetry', readings: [], traceparent: undefined })),
    ),
  );
  return { read: readings.length, mended: changed.length };
}

/** The row as it has to be; none if it is so, or if nothing has been heard of the device. */
function mendedRow(
  row: DeviceStateRow,
  readings: readonly StoredReading[],
  from: EpochMicros | undefined,
): readonly DeviceStateRow[] {
  const isConcerned = (micros: EpochMicros): boolean => from === undefined || micros >= from;
  const kept = Object.entries(row.metrics).filter(([, { at }]) => !isConcerned(toMicros(at)));
  const found = readings.filter(({ atMicros }) => isConcerned(atMicros));
  // Of more metrics than a state shows, those that it has shown come first.
  const shownFirst = [
    ...found.filter(({ metric }) => Object.hasOwn(row.metrics, metric)),
    ...found.filter(({ metric }) => !Object.hasOwn(row.metrics, metric)),
  ];
  const metrics: LatestMetrics = latest(Object.fromEntries(kept), shownFirst);
  const isNew = row.version === 0n && readings.length > 0;
  if (!isNew && isDeepStrictEqual(metrics, row.metrics)) return [];
  const newest = Math.max(0, ...readings.map(({ atMicros }) => atMicros));
  return [{ ...row, metrics, lastSeen: row.lastSeen ?? (newest > 0 ? new Date(toMillis(newest)) : null) }];
}

/** The next devices that have a state or a time series, by their ids. From index to index: of a series one row is looked at. */
async function devicesBehind(sql: Sql, behind: string): Promise<readonly Device[]> {
  return sql.query<Device>(
    `WITH RECURSIVE series AS (
       (SELECT device_id, tenant, 1 AS count FROM projections.rollups_1h WHERE device_id > $1 ORDER BY device_id LIMIT 1)
       UNION ALL
       SELECT n.device_id, n.tenant, s.count + 1 FROM series s CROSS JOIN LATERAL (
         SELECT device_id, tenant FROM projections.rollups_1h r WHERE r.device_id > s.device_id ORDER BY device_id LIMIT 1) n
       WHERE s.count < $2)
     SELECT DISTINCT ON (device_id) tenant, device_id AS "deviceId" FROM (
       (SELECT device_id, tenant, 1 AS source FROM projections.device_states WHERE device_id > $1 ORDER BY device_id LIMIT $2)
       UNION ALL
       SELECT device_id, tenant, 2 FROM series) d
     ORDER BY device_id, source LIMIT $2`,
    [behind, pageSize],
  );
}

/** The last reading of each metric of the devices. */
async function lastReadings(sql: Sql, deviceIds: readonly string[]): Promise<readonly StoredReading[]> {
  const rows = await sql.query<{
    device_id: string;
    metric: string;
    tenant: string;
    at: EpochMicros;
    number: number | null;
    other: boolean | string | null;
  }>(
    `WITH RECURSIVE m AS (
       SELECT d.id AS device_id, (SELECT metric FROM projections.rollups_1h r WHERE r.device_id = d.id ORDER BY metric LIMIT 1) AS metric
       FROM unnest($1::text[]) AS d(id)
       UNION ALL
       SELECT m.device_id,
              (SELECT metric FROM projections.rollups_1h r WHERE r.device_id = m.device_id AND r.metric > m.metric ORDER BY metric LIMIT 1)
       FROM m WHERE m.metric IS NOT NULL)
     SELECT m.device_id, m.metric, l.tenant, ${microsSql('l.last_at')} AS at, l.last_number AS number, l.last_other AS other
     FROM m CROSS JOIN LATERAL (
       SELECT * FROM projections.rollups_1h r WHERE r.device_id = m.device_id AND r.metric = m.metric ORDER BY bucket DESC LIMIT 1) l
     WHERE m.metric IS NOT NULL ORDER BY m.device_id, m.metric`,
    [deviceIds],
  );
  return rows.map(({ device_id: deviceId, metric, tenant, at, number, other }) => ({
    deviceId,
    metric,
    tenant,
    atMicros: at,
    value: (number ?? other) as MetricValue,
  }));
}
