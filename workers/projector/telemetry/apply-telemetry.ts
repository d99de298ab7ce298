/**
 * Telemetry into the time series and the device states: one transaction a batch, whatever the number of readings.
 * Invariant: only a reading that was not stored before has an effect. So a batch may be delivered again, late or in
 * pieces, and series, rollups and states are the same.
 */
import type pg from 'pg';
import type { LatestMetrics } from '../../../backbone/changes/change.js';
import { horizon, toMicros, toMillis } from '../../../backbone/changes/time-series.js';
import { inTransaction } from '../../../platform/database/sql.js';
import { codeOf } from '../../../platform/errors.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { appendChanges, type NumberedChange } from '../change-log.js';
import { lockDeviceStates, saveDeviceStates, type ChangedDeviceState, type DeviceStateRow } from '../device-states.js';
import type { ProjectorMetrics } from '../projector-metrics.js';
import { daysOf, foldReadings, type DeviceReadings, type StoredReading, type TelemetryEvent } from './fold-readings.js';
import type { ReadingPartitions } from './reading-partitions.js';
import { addToRollups, insertReadings } from './store-readings.js';

/** Most metrics that the state of one device shows. History has no such limit. */
const maxMetricsOfState = 1_000;

/** How much further ahead than the bridge allows a reading may be: room for a clock that is off. */
const futureSlackMs = 3_600_000;

export interface TelemetryOptions {
  readonly pool: pg.Pool;
  readonly partitions: ReadingPartitions;
  readonly retentionDays: number;
  readonly maxFutureMs: number;
  readonly metrics: ProjectorMetrics;
  readonly log: Logger;
}

/** Applies a batch. @returns the changes that it committed. */
export async function applyTelemetry(
  options: TelemetryOptions,
  events: readonly TelemetryEvent[],
): Promise<readonly NumberedChange[]> {
  const nowMs = Date.now();
  const batch = foldReadings(events, {
    oldest: horizon(toMicros(nowMs), options.retentionDays),
    newest: toMicros(nowMs + options.maxFutureMs + futureSlackMs),
  });
  if (batch.devices.size === 0) return [];
  await options.partitions.ensure(daysOf(batch.readings));
  try {
    const { changes, stored, foreign } = await inTransaction(options.pool, async (sql) => {
      const rows = await lockDeviceStates(sql, [...batch.devices.values()]);
      const ours = batch.readings.filter(({ deviceId }) => rows.has(deviceId));
      const fresh = await insertReadings(sql, ours);
      await addToRollups(sql, fresh);
      const changed = nextStates(rows, batch.devices, fresh);
      return {
        changes: await appendChanges(sql, await saveDeviceStates(sql, changed)),
        stored: fresh.length,
        foreign: batch.readings.length - ours.length,
      };
    });
    options.metrics.readings.inc({ outcome: 'stored' }, stored);
    options.metrics.readings.inc({ outcome: 'repeated' }, batch.readings.length - foreign - stored);
    options.metrics.readings.inc({ outcome: 'refused' }, batch.refused + foreign);
    if (batch.refused + foreign > 0)
      options.log.warn(
        { refused: batch.refused, foreign },
        'readings were not stored: older than the retention, too far ahead, or about a device of another tenant',
      );
    return changes;
  } catch (error) {
    // 23514: no partition for a row. Someone dropped one that we knew; the next attempt makes it again.
    if (codeOf(error) === '23514') options.partitions.forget();
    throw error;
  }
}

/** The rows that change: those with new readings, and those heard from later than before. */
function nextStates(
  rows: ReadonlyMap<string, DeviceStateRow>,
  devices: ReadonlyMap<string, DeviceReadings>,
  fresh: readonly StoredReading[],
): readonly ChangedDeviceState[] {
  const freshOf = new Map<string, StoredReading[]>();
  for (const reading of fresh) {
    const sofar = freshOf.get(reading.deviceId);
    if (sofar === undefined) freshOf.set(reading.deviceId, [reading]);
    else sofar.push(reading);
  }
  const changed: ChangedDeviceState[] = [];
  for (const row of rows.values()) {
    const readings = freshOf.get(row.deviceId) ?? [];
    const heard = devices.get(row.deviceId);
    const isLater = heard !== undefined && (row.lastSeen === null || heard.arrivedAt > row.lastSeen);
    if (readings.length === 0 && !isLater) continue;
    changed.push({
      ...row,
      kind: 'telemetry',
      metrics: latest(row.metrics, readings),
      lastSeen: isLater ? heard.arrivedAt : row.lastSeen,
      readings: readings.map(({ metric, atMicros, value }) => ({ metric, at: toMillis(atMicros), value })),
      traceparent: heard?.traceparent,
    });
  }
  return changed;
}

/** The latest value of each metric: the newest time wins, the one that was there first on a tie. */
export function latest(metrics: LatestMetrics, readings: readonly StoredReading[]): LatestMetrics {
  // A map, because a metric may be called `__proto__`.
  const next = new Map(Object.entries(metrics));
  for (const { metric, atMicros, value } of readings) {
    const known = next.get(metric);
    if (known === undefined ? next.size < maxMetricsOfState : atMicros > toMicros(known.at))
      next.set(metric, { value, at: toMillis(atMicros) });
  }
  return Object.fromEntries(next);
}
