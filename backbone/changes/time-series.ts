/** What the writer and the reader of the time series agree on: clocks in microseconds, spans of rollups, and how long each is kept. */

/** Microseconds since the epoch; a whole number, exact in a double until the year 2255. */
export type EpochMicros = number;

export const microsOf = {
  millisecond: 1_000,
  minute: 60_000_000,
  hour: 3_600_000_000,
  day: 86_400_000_000,
} as const;

/** Epoch milliseconds, whose fraction may hold microseconds, as microseconds. */
export function toMicros(epochMs: number): EpochMicros {
  return Math.round(epochMs * microsOf.millisecond);
}

/** Microseconds as epoch milliseconds with a fraction. */
export function toMillis(micros: EpochMicros): number {
  return micros / microsOf.millisecond;
}

/** Start of the span of length `span` (microseconds, aligned to the epoch) that holds `at`. */
export function startOfSpan(at: EpochMicros, span: number): EpochMicros {
  return Math.floor(at / span) * span;
}

/** SQL for a timestamptz from a number of microseconds: exact, unlike to_timestamp() of a double in seconds. */
export function timestampSql(micros: string): string {
  return `('epoch'::timestamptz + ${micros}::bigint * interval '1 microsecond')`;
}

/** SQL for the microseconds of a timestamptz, as a double (which the driver gives as a number). */
export function microsSql(timestamp: string): string {
  return `(extract(epoch FROM ${timestamp}) * 1000000)::float8`;
}

/** Days that one-minute rollups are kept; hours are kept for good. Never shorter than the readings themselves. */
export function minuteRetentionDays(telemetryRetentionDays: number): number {
  return Math.max(90, telemetryRetentionDays);
}

/**
 * The oldest time that readings (or minutes) are complete from: what is older may be gone.
 * Days are dropped whole and an hour late, so that a clock that is a little off loses nothing.
 */
export function horizon(now: EpochMicros, retentionDays: number): EpochMicros {
  return now - retentionDays * microsOf.day;
}
