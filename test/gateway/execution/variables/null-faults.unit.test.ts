/** What graphql-js finds wrong when it executes an operation is found before anything is executed. */
import fc from 'fast-check';
import { buildSchema, execute, getOperationAST, getVariableValues, parse, specifiedRules, validate } from 'graphql';
import { expect, test } from 'vitest';
import { compileNullFault } from '../../../../gateway/execution/variables/null-faults.js';

const schema = buildSchema(`
  directive @marked(by: Int! = 1) on FIELD
  input In { n: Int! = 1 l: [Int!] inner: In }
  type Query { o: O! a(n: Int! = 1, m: Int): Int b(l: [Int!]): Int c(i: In): Int }
  type O { o: O! a(n: Int! = 1, m: Int): Int b(l: [Int!]): Int c(i: In): Int }
`);

function faultOf(text: string, given: Readonly<Record<string, unknown>>): string | undefined {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  const { coerced = {} } = getVariableValues(schema, operation.variableDefinitions ?? [], given);
  return compileNullFault(schema, document, operation)?.(coerced)?.message;
}

test.each([
  ['@include', 'query ($b: Boolean = true) { a @include(if: $b) }', 'Argument "if" of non-null type "Boolean!"'],
  ['@skip', 'query ($b: Boolean = true) { o { a @skip(if: $b) } }', 'Argument "if" of non-null type "Boolean!"'],
  ['a fragment', 'query ($b: Boolean = true) { ...F @skip(if: $b) } fragment F on Query { a }', 'Argument "if"'],
  ['inside of one', 'query ($b: Int) { ...F } fragment F on Query { o { a(n: $b) } }', 'Argument "n" of non-null type'],
  ['an argument', 'query ($b: Int) { a(n: $b) }', 'Argument "n" of non-null type "Int!" must not be null.'],
  ['a directive', 'query ($b: Int) { a @marked(by: $b) }', 'Argument "by" of non-null type "Int!"'],
  [
    'an input field',
    'query ($b: Int) { c(i: { inner: { n: $b } }) }',
    'Variable "$b" got invalid value null; Expected non-nullable type "Int!" not to be null.',
  ],
  ['an element', 'query ($b: Int = 1) { b(l: [1, $b]) }', 'Variable "$b" got invalid value null; Expected'],
  ['introspection', 'query ($b: String = "Query") { __type(name: $b) { name } }', 'Argument "name" of non-null type'],
])('null is refused for the variable of %s', (_what, text, message) => {
  expect(validate(schema, parse(text))).toEqual([]);
  expect(faultOf(text, { b: null })).toContain(message);
  expect(faultOf(text, {})).toBeUndefined();
});

test('a null in its place is right, as is one that nothing is executed with', () => {
  expect(faultOf('query ($b: Int = 1) { a(m: $b) }', { b: null })).toBeUndefined();
  const skipped = 'query ($b: Int, $w: Boolean!) { a(n: $b) @include(if: $w) ... @skip(if: true) { c(i: { n: $b }) } }';
  expect(faultOf(skipped, { b: null, w: false })).toBeUndefined();
  expect(faultOf(skipped, { b: null, w: true })).toContain('Argument "n"');
});

const directive = fc.constantFrom('', '', '@include(if: $b)', '@skip(if: $c)', '@skip(if: $c) @include(if: $b)');
const field = fc.constantFrom(
  'a',
  'a(n: $n)',
  'a(n: $m, m: $n)',
  'b(l: [1, $m])',
  'c(i: { n: $n, inner: { l: [$m] } })',
);
const { set } = fc.letrec<{ set: string; selection: string }>((tie) => ({
  set: fc
    .array(tie('selection'), { minLength: 1, maxLength: 3 })
    // One name in the answer for each field: they differ in their arguments.
    .map((selections) => selections.map((text, index) => text.replaceAll('alias', `f${index}`)).join(' ')),
  selection: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.tuple(field, directive).map(([text, on]) => `alias: ${text} ${on}`),
    fc.tuple(directive, tie('set')).map(([on, inner]) => `alias: o ${on} { ${inner.replaceAll(/\bf(\d)/g, 'i$1')} }`),
    fc.tuple(directive, tie('set')).map(([on, inner]) => `... ${on} { ${inner.replaceAll(/\bf(\d)/g, 'g$1')} }`),
  ),
}));
const condition = fc.constantFrom(undefined, null, true, false);
const number = fc.constantFrom(undefined, null, 5);

test('any operation is refused for a null if graphql-js finds something wrong with it, and else is not', () => {
  const values = fc.record({ n: number, m: number, b: condition, c: condition });
  const rules = specifiedRules.filter(({ name }) => name !== 'NoUnusedVariablesRule');
  fc.assert(
    fc.property(set, values, (selections, given) => {
      const text = `query ($n: Int, $m: Int = 2, $b: Boolean = true, $c: Boolean = false) { ${selections} }`;
      const variables = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
      const document = parse(text);
      fc.pre(validate(schema, document, rules).length === 0);
      const result = execute({
        schema,
        document,
        variableValues: variables,
        fieldResolver: (_source, _args, _context, { fieldName }) => (fieldName === 'o' ? {} : 1),
      });
      const isWrong = 'errors' in result && result.errors !== undefined;
      expect(faultOf(text, variables) !== undefined, text).toBe(isWrong);
    }),
    { numRuns: 500 },
  );
});
