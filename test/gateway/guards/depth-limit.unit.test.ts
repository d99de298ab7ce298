import fc from 'fast-check';
import { buildSchema, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { depthLimit } from '../../../gateway/guards/depth-limit.js';

const schema = buildSchema('type Query { a: Query b: Query leaf: Int }');
const faults = (document: string, max: number) => validate(schema, parse(document), [depthLimit(max)]);

test('an operation is let through at the limit and refused one level below it', () => {
  expect(faults('{ a { a { leaf } } }', 3)).toEqual([]);
  const [fault] = faults('{ a { a { a { leaf } } } }', 3);
  expect(fault?.message).toBe('The operation is nested more than 3 levels deep. Ask for less at once.');
});

test('inline fragments add no level, spreads add the levels of their fragment', () => {
  expect(faults('{ ... on Query { a { ... { leaf } } } }', 2)).toEqual([]);
  const spread = '{ a { ...Deep } } fragment Deep on Query { a { a { leaf } } }';
  expect(faults(spread, 4)).toEqual([]);
  expect(faults(spread, 3)).toHaveLength(1);
});

test('the deepest of several operations and branches counts, in any order', () => {
  expect(faults('query A { leaf } query B { a { leaf } b { b { leaf } } }', 2)).toHaveLength(1);
  expect(faults('{ b { b { leaf } } a { leaf } }', 2)).toHaveLength(1);
});

test('introspection is exempt', () => {
  expect(faults('{ __schema { types { fields { type { ofType { ofType { name } } } } } } }', 1)).toEqual([]);
});

test('fragments that spread themselves or each other end', () => {
  expect(faults('{ ...A } fragment A on Query { a { ...A } }', 5)).toEqual([]);
  expect(faults('{ ...A } fragment A on Query { a { ...B } } fragment B on Query { b { ...A leaf } }', 1)).toHaveLength(
    1,
  );
});

test('fragments that spread the next one twice are measured in linear time', () => {
  const count = 500;
  const chain = Array.from(
    { length: count },
    (_unused, index) =>
      `fragment F${index} on Query { ${index + 1 < count ? `...F${index + 1} a { ...F${index + 1} }` : 'leaf'} }`,
  ).join('\n');
  expect(faults(`{ ...F0 } ${chain}`, count + 1)).toEqual([]);
  expect(faults(`{ ...F0 } ${chain}`, count - 1)).toHaveLength(1);
});

test('property: a chain of n fields, wrapped in fragments anywhere, has depth n', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }), (wrapped) => {
      const document = wrapped.reduceRight(
        (inner, wrap) => (wrap ? `{ ... on Query { a ${inner} } }` : `{ a ${inner} }`),
        '{ leaf }',
      );
      expect(faults(document, wrapped.length + 1)).toEqual([]);
      expect(faults(document, wrapped.length)).toHaveLength(1);
    }),
  );
});
