/** What an `Accept` header asks for. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mediaRangesOf } from '../../../gateway/transports/accept.js';

const types = (accept: string | undefined) => mediaRangesOf(accept).map(({ type }) => type);

test('what is preferred comes first, equals stay in their order, and what is refused is not there', () => {
  expect(types('a/a;q=0.2, B/B, c/c;q=0, d/d')).toEqual(['b/b', 'd/d', 'a/a']);
  expect(types(undefined)).toEqual([]);
  expect(types('')).toEqual([]);
});

test('parameters are known by their name in any case, with or without quotes', () => {
  const [range] = mediaRangesOf('multipart/mixed;boundary="graphql"; subscriptionSpec="1.0", application/json');
  expect(range?.type).toBe('multipart/mixed');
  expect(range?.parameters.get('boundary')).toBe('graphql');
  expect(range?.parameters.get('subscriptionspec')).toBe('1.0');
});

test('no header makes it fail, and nothing comes out that was not in it', () => {
  fc.assert(
    fc.property(fc.string(), (accept) => {
      for (const type of types(accept)) expect(accept.toLowerCase()).toContain(type);
    }),
  );
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 999 }), { minLength: 1 }), (thousandths) => {
      const accept = thousandths.map((quality) => `t/${quality};q=${quality / 1_000}`).join(',');
      const sorted = [...thousandths].sort((one, other) => other - one);
      expect(types(accept)).toEqual(sorted.map((quality) => `t/${quality}`));
    }),
  );
});
