import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fairShare } from '../../../../backbone/bus/postgres/fair-share.js';

const members = fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 12 });

test('the shares of the members add up to the partitions and differ by at most one', () => {
  fc.assert(
    fc.property(fc.nat(64), members, (partitions, live) => {
      const shares = live.map((member) => fairShare(partitions, live, member));
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(partitions);
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
    }),
  );
});

test('the order in which the members are listed does not matter', () => {
  fc.assert(
    fc.property(fc.nat(64), members, (partitions, live) => {
      for (const member of live)
        expect(fairShare(partitions, [...live].reverse(), member)).toBe(fairShare(partitions, live, member));
    }),
  );
});

test('a member that is not listed yet counts itself', () => {
  expect(fairShare(6, ['b', 'c'], 'a')).toBe(2);
  expect(fairShare(6, [], 'a')).toBe(6);
});
