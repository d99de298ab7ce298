/** When a worker that died is started again. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRestartPolicy } from '../../../platform/cluster/restart-policy.js';

test('each death within a minute is waited after for longer, and the fifth is the last', () => {
  const policy = createRestartPolicy();
  expect([0, 1_000, 2_000, 3_000, 4_000].map((at) => policy.died(at))).toEqual([100, 400, 1_600, 6_400, undefined]);
});

test('a death that is a minute old is forgotten', () => {
  const policy = createRestartPolicy();
  for (let n = 0; n < 100; n += 1) expect(policy.died(n * 60_000)).toBe(100);
});

test('it gives up when, and only when, there were five deaths within a minute', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 30_000 }), { maxLength: 40 }), (pauses) => {
      const policy = createRestartPolicy();
      const deaths: number[] = [];
      let now = 0;
      for (const pause of pauses) {
        now += pause;
        deaths.push(now);
        const recent = deaths.filter((at) => now - at < 60_000).length;
        expect(policy.died(now) === undefined).toBe(recent >= 5);
      }
    }),
  );
});
