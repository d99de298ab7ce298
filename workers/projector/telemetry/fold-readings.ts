/**
 * Pure arithmetic between telemetry events and the rows of the time series.
 * Invariant: a reading is identified by (device, metric, microsecond). Each counts once, so that rollups are what a
 * recomputation from the raw readings gives, whatever the order, lateness or repetition of the events.
 */
import { microsOf, startOfSpan, toMicros, type EpochMicros } from '../../../backbone/changes/time-series.js';
import type { Event } from '../../../backbone/events/envelope.js';
import { storableText } from '../../../platform/database/storable.js';

export type MetricValue = number | boolean | string;
export type TelemetryEvent = Event<'io.fleetgraph.telemetry.received.v1'>;

export interface StoredReading {
  readonly tenant: string;
  readonly deviceId: string;
  readonly metric: string;
  readonly atMicros: EpochMicros;
  readonly value: MetricValue;
}

/** What a batch says of one device. */
export interface DeviceReadings {
  readonly tenant: string;
  readonly deviceId: string;
  /** When the latest of its messages arrived. */
  readonly arrivedAt: Date;
  readonly traceparent: string | undefined;
}

export interface FoldedBatch {
  /** Without repetitions, sorted by device, metric and time: the order in which rows are locked. */
  readonly readings: readonly StoredReading[];
  readonly devices: ReadonlyMap<string, DeviceReadings>;
  /** Readings outside of what can be stored. */
  readonly refused: number;
}

/** Times that can be stored: from `oldest` (included) to `newest`. */
export interface StorableRange {
  readonly oldest: EpochMicros;
  readonly newest: EpochMicros;
}

/** Flattens events into readings; the first of several with one identity wins, as it does in the table. */
export function foldReadings(events: readonly TelemetryEvent[], range: StorableRange): FoldedBatch {
  const byIdentity = new Map<string, StoredReading>();
  const devices = new Map<string, DeviceReadings>();
  let refused = 0;
  for (const event of events) {
    const { deviceId } = event.data;
    const { tenant } = event;
    const known = devices.get(deviceId);
    // One batch can't speak for two tenants about one device; the rows decide later whose it is.
    if (known !== undefined && known.tenant !== tenant) {
      refused += event.data.readings.length;
      continue;
    }
    const arrivedAt = new Date(Math.max(Date.parse(event.time) || 0, known?.arrivedAt.getTime() ?? 0));
    devices.set(deviceId, { tenant, deviceId, arrivedAt, traceparent: event.traceparent ?? known?.traceparent });
    for (const { metric: name, at, value } of event.data.readings) {
      const atMicros = toMicros(at);
      if (atMicros < range.oldest || atMicros > range.newest) {
        refused += 1;
        continue;
      }
      const metric = storableText(name);
      const identity = identityOf(deviceId, metric, atMicros);
      if (byIdentity.has(identity)) continue;
      byIdentity.set(identity, {
        tenant,
        deviceId,
        metric,
        atMicros,
        value: typeof value === 'string' ? storableText(value) : value,
      });
    }
  }
  return { readings: [...byIdentity.values()].sort(byKey), devices, refused };
}

/** Key of a reading in memory. The separator can't be in an id or in a stored name. */
export function identityOf(deviceId: string, metric: string, atMicros: EpochMicros): string {
  return `${deviceId}\0${metric}\0${atMicros}`;
}

export interface Rollup {
  readonly tenant: string;
  readonly deviceId: string;
  readonly metric: string;
  readonly bucketMicros: EpochMicros;
  readonly count: number;
  /** Null once a value that is not a number is among them (or the sum leaves the range of a double): there is no mean then. */
  readonly sum: number | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly lastMicros: EpochMicros;
  readonly last: MetricValue;
}

/** Readings summed up over spans of `span` microseconds, sorted like the readings. */
export function rollUp(readings: readonly StoredReading[], span: number): readonly Rollup[] {
  const rollups = new Map<string, Rollup>();
  for (const { tenant, deviceId, metric, atMicros, value } of readings) {
    const bucketMicros = startOfSpan(atMicros, span);
    const identity = identityOf(deviceId, metric, bucketMicros);
    const number = typeof value === 'number' ? value : null;
    const one: Rollup = {
      tenant,
      deviceId,
      metric,
      bucketMicros,
      count: 1,
      sum: number,
      min: number,
      max: number,
      lastMicros: atMicros,
      last: value,
    };
    const sofar = rollups.get(identity);
    rollups.set(identity, sofar === undefined ? one : merge(sofar, one));
  }
  return [...rollups.values()];
}

function merge(a: Rollup, b: Rollup): Rollup {
  const sum = a.sum === null || b.sum === null ? null : a.sum + b.sum;
  const later = b.lastMicros > a.lastMicros ? b : a;
  return {
    ...a,
    count: a.count + b.count,
    sum: sum === null || !Number.isFinite(sum) ? null : sum,
    min: extreme(Math.min, a.min, b.min),
    max: extreme(Math.max, a.max, b.max),
    lastMicros: later.lastMicros,
    last: later.last,
  };
}

function extreme(choose: (a: number, b: number) => number, a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : choose(a, b);
}

/** UTC days, as microseconds of their start, that the readings fall on. */
export function daysOf(readings: readonly StoredReading[]): ReadonlySet<EpochMicros> {
  return new Set(readings.map(({ atMicros }) => startOfSpan(atMicros, microsOf.day)));
}

function byKey(a: StoredReading, b: StoredReading): number {
  return compare(a.deviceId, b.deviceId) || compare(a.metric, b.metric) || a.atMicros - b.atMicros;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
