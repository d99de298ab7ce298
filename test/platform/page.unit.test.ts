import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeCursor, encodeCursor, pageSize, toConnection } from '../../platform/graphql/page.js';

test('a cursor gives back the key it was made of, whatever is in it', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 3 }), (key) => {
      expect(decodeCursor('NAME', encodeCursor('NAME', key), key.length)).toEqual(key);
    }),
  );
});

test('what is not a cursor of this order is refused and never throws anything else', () => {
  const refused = expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'after' }) as Error;
  expect(() => decodeCursor('NAME', encodeCursor('CREATED_AT', ['a']), 1)).toThrow(refused);
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(() => decodeCursor('NAME', text, 1)).toThrow(refused);
    }),
  );
});

test.each(['a\u0000', '\ud800', '\udc00b'])('a cursor with a key that no row can have is refused: %j', (key) => {
  const refused = expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'after' }) as Error;
  expect(() => decodeCursor('NAME', encodeCursor('NAME', ['fine', key]), 2)).toThrow(refused);
});

test.each([-1, 201])('a page of %d is refused', (first) => {
  expect(() => pageSize({ first })).toThrow(/must be from 0 to 200/);
});

test('an empty page tells whether there is more', () => {
  expect(pageSize({ first: 0 })).toBe(0);
  const nothing = { hasPreviousPage: false, startCursor: null, endCursor: null };
  const connection = (rows: readonly number[]) => toConnection(rows, 0, { first: 0 }, String);
  expect(connection([1])).toEqual({ edges: [], pageInfo: { ...nothing, hasNextPage: true } });
  expect(connection([])).toEqual({ edges: [], pageInfo: { ...nothing, hasNextPage: false } });
});

test('the surplus row shows only as hasNextPage', () => {
  const page = toConnection([1, 2, 3], 2, {}, (node) => `c${node}`);
  expect(page.edges.map((edge) => edge.node)).toEqual([1, 2]);
  expect(page.pageInfo).toEqual({ hasNextPage: true, hasPreviousPage: false, startCursor: 'c1', endCursor: 'c2' });
});
