import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createArrivalClock } from '../../../bridge/intake/arrival-clock.js';

test('property: stamps of a device grow, whatever the clock does, and stay near it', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -5, max: 20 }), { minLength: 1, maxLength: 200 }), (steps) => {
      let now = 1_700_000_000_000;
      const clock = createArrivalClock(() => now);
      let before = 0;
      let newest = 0;
      for (const step of steps) {
        now += step;
        newest = Math.max(newest, now);
        const stamp = clock.stamp('d');
        expect(stamp).toBeGreaterThan(before);
        expect(stamp).toBeGreaterThanOrEqual(now);
        expect(stamp).toBeLessThan(newest + 1);
        before = stamp;
      }
    }),
  );
});

test('devices do not share a clock', () => {
  const clock = createArrivalClock(() => 1_000);
  expect([clock.stamp('a'), clock.stamp('b'), clock.stamp('a')]).toEqual([1_000, 1_000, 1_000.001]);
});
