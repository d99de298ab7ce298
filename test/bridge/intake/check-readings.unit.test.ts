/** What a reading must be, whichever decoder found it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RejectedPayload, rejectionReasons, type UncheckedReading } from '../../../bridge/decoders/decoder.js';
import { checkReadings } from '../../../bridge/intake/check-readings.js';

const nowMs = 1_800_000_000_000;
const limits = { maxFutureMs: 60_000, maxAgeMs: 86_400_000 };
const profile = {
  metrics: [
    { name: 'temperature', kind: 'NUMBER' },
    { name: 'open', kind: 'BOOLEAN' },
    { name: 'label', kind: 'STRING' },
  ],
} as const;
const check = (...readings: Partial<UncheckedReading>[]) =>
  checkReadings(
    readings.map((reading) => ({ metric: 'm', at: nowMs, value: 1, ...reading })),
    profile,
    nowMs,
    limits,
  );

function reasonOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof RejectedPayload)) throw error;
    return error.reason;
  }
}

test.each<[string, Partial<UncheckedReading>, string | undefined]>([
  ['a number', { value: -0.5 }, undefined],
  ['a declared number', { metric: 'temperature', value: 21 }, undefined],
  ['a text for a declared number', { metric: 'temperature', value: '21' }, 'wrong_type'],
  ['a number for a declared boolean', { metric: 'open', value: 1 }, 'wrong_type'],
  ['a declared boolean', { metric: 'open', value: false }, undefined],
  ['a declared text', { metric: 'label', value: '' }, undefined],
  ['null', { value: null }, 'wrong_type'],
  ['an object', { value: {} }, 'wrong_type'],
  ['infinity', { value: Infinity }, 'not_finite'],
  ['a text of 1,024 characters', { value: 'x'.repeat(1_024) }, undefined],
  ['a text of 1,025 characters', { value: 'x'.repeat(1_025) }, 'text_too_long'],
  ['a text with half a surrogate pair', { value: '\ud83d' }, 'text_too_long'],
  ['a name of 128 characters', { metric: 'n'.repeat(128) }, undefined],
  ['a name of 129 characters', { metric: 'n'.repeat(129) }, 'bad_metric_name'],
  ['no name', { metric: '' }, 'bad_metric_name'],
  ['a name with U+0000', { metric: 'a\0' }, 'bad_metric_name'],
  ['a name that every object has', { metric: '__proto__' }, undefined],
  ['the latest time that is allowed', { at: nowMs + limits.maxFutureMs }, undefined],
  ['a time after it', { at: nowMs + limits.maxFutureMs + 1 }, 'timestamp_in_future'],
  ['the oldest time that is kept', { at: nowMs - limits.maxAgeMs }, undefined],
  ['a time before it', { at: nowMs - limits.maxAgeMs - 1 }, 'timestamp_too_old'],
  ['a time as text', { at: '2026-01-01T00:00:00Z' }, 'bad_timestamp'],
  ['a time that is NaN', { at: NaN }, 'bad_timestamp'],
  ['a negative time', { at: -1 }, 'bad_timestamp'],
  ['seconds instead of milliseconds', { at: nowMs / 1_000 }, 'timestamp_too_old'],
])('%s', (_what, reading, reason) => {
  expect(reasonOf(() => check(reading))).toBe(reason);
});

test('one reading that is wrong refuses all of its message', () => {
  expect(reasonOf(() => check({}, {}, { value: null }))).toBe('wrong_type');
});

test('1,000 readings are taken, 1,001 are not', () => {
  const readings = Array.from({ length: 1_000 }, () => ({}));
  expect(check(...readings)).toHaveLength(1_000);
  expect(reasonOf(() => check(...readings, {}))).toBe('too_many_readings');
});

test('property: readings come out as they went in, or all are refused with a reason of the list', () => {
  const reading = fc.record({
    metric: fc.oneof(fc.constantFrom('temperature', 'open', 'label'), fc.string({ unit: 'binary' })),
    at: fc.oneof(fc.integer({ min: nowMs - 90_000_000, max: nowMs + 90_000 }), fc.double(), fc.anything()),
    value: fc.oneof(fc.double(), fc.boolean(), fc.string({ unit: 'binary' }), fc.anything()),
  });
  fc.assert(
    fc.property(fc.array(reading, { maxLength: 4 }), (readings) => {
      try {
        expect(checkReadings(readings, profile, nowMs, limits)).toEqual(readings);
      } catch (error) {
        if (!(error instanceof RejectedPayload)) throw error;
        expect(Object.keys(rejectionReasons)).toContain(error.reason);
      }
    }),
    { numRuns: 500 },
  );
});
