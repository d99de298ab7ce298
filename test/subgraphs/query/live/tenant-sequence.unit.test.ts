import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Change } from '../../../../backbone/changes/change.js';
import { createTenantSequence } from '../../../../subgraphs/query/live/tenant-sequence.js';
import { deviceChange } from './device-change.js';

const numbers = (changes: readonly Change[]): bigint[] => changes.map(({ seq }) => seq);

test('gives each change once and in order, however the bus shuffles, repeats and loses them', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }).chain((last) => {
        const all = Array.from({ length: last }, (_, n) => n + 1);
        return fc.record({
          start: fc.integer({ min: 0, max: last }),
          bus: fc.tuple(fc.shuffledSubarray(all), fc.array(fc.constantFrom(...all))).map((parts) => parts.flat()),
          last: fc.constant(last),
          maxHeld: fc.integer({ min: 1, max: 10 }),
        });
      }),
      ({ start, bus, last, maxHeld }) => {
        const sequence = createTenantSequence(BigInt(start), maxHeld);
        const given: bigint[] = [];
        for (const seq of bus) given.push(...numbers(sequence.offer(deviceChange(seq))));
        sequence.expect(BigInt(last));
        expect(sequence.hasGap()).toBe(sequence.position() < BigInt(last));
        // What the bus did not bring, the log has, from the position on.
        while (sequence.hasGap()) given.push(...numbers(sequence.offer(deviceChange(Number(sequence.position()) + 1))));
        expect(given).toEqual(Array.from({ length: last - start }, (_, n) => BigInt(start + n + 1)));
      },
    ),
  );
});

test('goes on behind what the log has lost', () => {
  const sequence = createTenantSequence(0n);
  expect(sequence.offer(deviceChange(5))).toEqual([]);
  expect(sequence.offer(deviceChange(2))).toEqual([]);
  expect(numbers(sequence.skipTo(4n))).toEqual([5n]);
  expect(sequence.hasGap()).toBe(false);
  expect(sequence.skipTo(3n)).toEqual([]);
  expect(sequence.position()).toBe(5n);
});
