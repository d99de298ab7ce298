/**
 * How long the spans of a series are, when its readings are too many to return each.
 * Invariant: spans are multiples of what a rollup covers, aligned to the epoch, and at most `maxPoints` of them touch the range.
 */
import { microsOf, startOfSpan, type EpochMicros } from '../../../backbone/changes/time-series.js';

export interface SeriesRange {
  /** Included. */
  readonly from: EpochMicros;
  /** Excluded. */
  readonly to: EpochMicros;
}

export interface Span {
  readonly resolution: 'MINUTE' | 'HOUR';
  /** Length in microseconds. */
  readonly micros: number;
}

/** Multiples of a minute that people read easily; from an hour on, hours serve. */
const minuteMultiples = [1, 2, 3, 5, 10, 15, 20, 30];
const hourMultiples = [1, 2, 3, 4, 6, 8, 12, 24];

/** Most minutes that are read to make one series; hours serve for longer ranges. */
const maxMinutesRead = 20_000;

/** The finest span of which `maxPoints` or fewer cover the range. `minutesFrom` is the oldest minute that rollups still have. */
export function chooseSpan(range: SeriesRange, maxPoints: number, minutesFrom: EpochMicros): Span {
  if (range.from >= minutesFrom && spansIn(range, microsOf.minute) <= maxMinutesRead) {
    for (const multiple of minuteMultiples) {
      const micros = multiple * microsOf.minute;
      if (spansIn(range, micros) <= maxPoints) return { resolution: 'MINUTE', micros };
    }
  }
  for (const multiple of hourMultiples) {
    const micros = multiple * microsOf.hour;
    if (spansIn(range, micros) <= maxPoints) return { resolution: 'HOUR', micros };
  }
  let micros = microsOf.day * 2;
  while (spansIn(range, micros) > maxPoints) micros *= 2;
  return { resolution: 'HOUR', micros };
}

/** How many spans touch the range. */
export function spansIn({ from, to }: SeriesRange, micros: number): number {
  return (startOfSpan(to - 1, micros) - startOfSpan(from, micros)) / micros + 1;
}
