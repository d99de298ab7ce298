import fc from 'fast-check';
import { expect, test } from 'vitest';
import { microsOf } from '../../../../backbone/changes/time-series.js';
import { chooseSpan, spansIn } from '../../../../subgraphs/query/history/choose-span.js';

const to = Date.UTC(2026, 10, 23, 12) * 1_000;
const last = (micros: number) => ({ from: to - micros, to });

test.each([
  ['an hour', microsOf.hour, 500, 'MINUTE', microsOf.minute],
  ['eight hours', 8 * microsOf.hour, 500, 'MINUTE', microsOf.minute],
  ['a day', microsOf.day, 500, 'MINUTE', 3 * microsOf.minute],
  ['a week', 7 * microsOf.day, 500, 'MINUTE', 30 * microsOf.minute],
  ['two weeks', 14 * microsOf.day, 500, 'HOUR', microsOf.hour],
  ['a day in few points', microsOf.day, 24, 'HOUR', microsOf.hour],
  ['a year', 365 * microsOf.day, 500, 'HOUR', 24 * microsOf.hour],
] as const)('chooses for %s', (_name, micros, maxPoints, resolution, length) => {
  expect(chooseSpan(last(micros), maxPoints, 0)).toEqual({ resolution, micros: length });
});

test('takes hours where minutes are no longer kept', () => {
  expect(chooseSpan(last(microsOf.hour), 500, to - microsOf.minute)).toEqual({
    resolution: 'HOUR',
    micros: microsOf.hour,
  });
});

test('never more spans than points, whatever is asked for', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: to - 1 }),
      fc.integer({ min: 1, max: to }),
      fc.integer({ min: 1, max: 5_000 }),
      fc.integer({ min: 0, max: to }),
      (from, length, maxPoints, minutesFrom) => {
        const range = { from, to: Math.min(to, from + length) };
        const span = chooseSpan(range, maxPoints, minutesFrom);
        expect(spansIn(range, span.micros)).toBeLessThanOrEqual(maxPoints);
        expect(span.micros % (span.resolution === 'MINUTE' ? microsOf.minute : microsOf.hour)).toBe(0);
        if (from < minutesFrom) expect(span.resolution).toBe('HOUR');
      },
    ),
  );
});
