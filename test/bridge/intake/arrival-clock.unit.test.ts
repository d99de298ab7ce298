import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createArrivalClock } from '../../../bridge/intake/arrival-clock.js';
import { createLoginThrottle } from '../../../bridge/mqtt/login-throttle.js';

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

test('failed logins of an address double its wait, up to a limit; a success or a minute forgives', () => {
  let now = 0;
  const throttle = createLoginThrottle({ now: () => now });
  expect(throttle.delayMs('a')).toBe(0);
  const delays = Array.from({ length: 10 }, () => {
    throttle.failed('a');
    return throttle.delayMs('a');
  });
  expect(delays).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
  expect(throttle.delayMs('b')).toBe(0);
  throttle.succeeded('a');
  expect(throttle.delayMs('a')).toBe(0);
  throttle.failed('a');
  now = 60_000;
  expect(throttle.delayMs('a')).toBe(0);
});

test('the throttle remembers so many addresses, and no more', () => {
  const throttle = createLoginThrottle({ maxAddresses: 2 });
  for (const address of ['a', 'b', 'c']) throttle.failed(address);
  expect(['a', 'b', 'c'].map((address) => throttle.delayMs(address))).toEqual([0, 50, 50]);
});
