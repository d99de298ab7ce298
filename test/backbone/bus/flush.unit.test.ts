import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partsInFlush, partsOf, sizeOf } from '../../../backbone/bus/flush.js';
import type { AssignedRecord } from '../../../backbone/bus/partitioner.js';

const record: fc.Arbitrary<AssignedRecord> = fc.record({
  topic: fc.constant('t'),
  partition: fc.nat(3),
  key: fc.string({ maxLength: 10 }),
  value: fc.string({ maxLength: 400 }),
  headers: fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 20 }), { maxKeys: 3 }),
});
const limits = fc.record({ records: fc.integer({ min: 1, max: 8 }), bytes: fc.integer({ min: 100, max: 2_000 }) });
const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);

describe('parts of a call', () => {
  test('hold its records in their order, each within the limits or of one record', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 30 }), limits, (records, most) => {
        const parts = partsOf(records, most);
        expect(parts.flatMap((part) => part.records)).toEqual(records);
        for (const part of parts) {
          expect(part.records.length).toBeGreaterThan(0);
          expect(part.bytes).toBe(sum(part.records.map(sizeOf)));
          expect(part.records.length).toBeLessThanOrEqual(most.records);
          if (part.records.length > 1) expect(part.bytes).toBeLessThanOrEqual(most.bytes);
        }
      }),
    );
  });

  test('are as few as the limits allow: none could take the first record of the next', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 30 }), limits, (records, most) => {
        const parts = partsOf(records, most);
        for (const [index, part] of parts.entries()) {
          const [next] = parts[index + 1]?.records ?? [];
          if (next === undefined) continue;
          expect(part.records.length === most.records || part.bytes + sizeOf(next) > most.bytes).toBe(true);
        }
      }),
    );
  });
});

describe('a flush', () => {
  test('takes parts from the front, at least one, within the limits, and stops only at a limit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(record, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 10 }),
        limits,
        (calls, most) => {
          const waiting = calls.flatMap((records) => partsOf(records, most));
          const count = partsInFlush(waiting, most);
          const within = (parts: typeof waiting): boolean =>
            sum(parts.map(({ records }) => records.length)) <= most.records &&
            sum(parts.map(({ bytes }) => bytes)) <= most.bytes;
          expect(count).toBeGreaterThanOrEqual(1);
          expect(count === 1 || within(waiting.slice(0, count))).toBe(true);
          expect(count === waiting.length || !within(waiting.slice(0, count + 1))).toBe(true);
        },
      ),
    );
  });
});
