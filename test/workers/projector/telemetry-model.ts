/** What the time series must hold after some deliveries, recomputed from scratch in the plainest way. */
import { makeEvent, type Event } from '../../../backbone/events/envelope.js';

export type TelemetryEvent = Event<'io.fleetgraph.telemetry.received.v1'>;
type Value = number | boolean | string;

export interface ReadingInput {
  readonly deviceId: string;
  readonly metric: string;
  readonly atMicros: number;
  readonly value: Value;
}

/** One message of a device, as the bridge publishes it. */
export function telemetry(
  tenant: string,
  deviceId: string,
  readings: readonly Omit<ReadingInput, 'deviceId'>[],
  arrivedAt = new Date(),
): TelemetryEvent {
  return makeEvent({
    source: '/bridge',
    type: 'io.fleetgraph.telemetry.received.v1',
    subject: deviceId,
    tenant,
    time: arrivedAt.toISOString(),
    data: {
      deviceId,
      readings: readings.map(({ metric, atMicros, value }) => ({ metric, at: atMicros / 1_000, value })),
    },
  });
}

export interface RollupModel {
  count: number;
  sum: number | null;
  min: number | null;
  max: number | null;
  lastMicros: number;
  last: Value;
}

/** Raw readings by `device/metric/micros`: the first that was delivered stays. */
export function rawModel(events: readonly TelemetryEvent[]): ReadonlyMap<string, ReadingInput> {
  const raw = new Map<string, ReadingInput>();
  for (const { data } of events)
    for (const { metric, at, value } of data.readings) {
      const atMicros = Math.round(at * 1_000);
      const key = `${data.deviceId}/${metric}/${atMicros}`;
      if (!raw.has(key)) raw.set(key, { deviceId: data.deviceId, metric, atMicros, value });
    }
  return raw;
}

/** Rollups by `device/metric/bucket`, from raw readings. */
export function rollupModel(raw: Iterable<ReadingInput>, spanMicros: number): ReadonlyMap<string, RollupModel> {
  const groups = new Map<string, ReadingInput[]>();
  for (const reading of raw) {
    const key = `${reading.deviceId}/${reading.metric}/${Math.floor(reading.atMicros / spanMicros) * spanMicros}`;
    groups.set(key, [...(groups.get(key) ?? []), reading]);
  }
  return new Map(
    [...groups].map(([key, readings]) => {
      const numbers = readings.map(({ value }) => value).filter((value) => typeof value === 'number');
      const newest = readings.reduce((a, b) => (b.atMicros > a.atMicros ? b : a));
      return [
        key,
        {
          count: readings.length,
          sum: numbers.length === readings.length ? numbers.reduce((a, b) => a + b, 0) : null,
          min: numbers.length === 0 ? null : Math.min(...numbers),
          max: numbers.length === 0 ? null : Math.max(...numbers),
          lastMicros: newest.atMicros,
          last: newest.value,
        },
      ];
    }),
  );
}

/** The newest value of each metric by device. */
export function latestModel(
  raw: Iterable<ReadingInput>,
): ReadonlyMap<string, Record<string, { value: Value; at: number }>> {
  const states = new Map<string, Record<string, { value: Value; at: number }>>();
  for (const { deviceId, metric, atMicros, value } of [...raw].sort((a, b) => a.atMicros - b.atMicros))
    states.set(deviceId, { ...states.get(deviceId), [metric]: { value, at: atMicros / 1_000 } });
  return states;
}
