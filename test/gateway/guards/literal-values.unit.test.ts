import { buildSchema, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { createJsonParser } from '../../../gateway/guards/json.js';
import { literalValues } from '../../../gateway/guards/literal-values.js';

const schema = buildSchema(`
  directive @at(f: Float, j: JSON) on FIELD | QUERY
  scalar JSON input In { f: Float j: JSON }
  type Query { x(f: Float, i: In, j: JSON, js: [JSON]): Int }
`);
const faults = (text: string): string[] => validate(schema, parse(text), [literalValues]).map(({ message }) => message);

test.each([
  ['{ x(f: 1e400) }'],
  ['{ x(j: 1e400) }'],
  ['{ x(j: { a: [1, { b: 1e400 }] }) }'],
  ['{ x(js: [1, 1e400]) }'],
  ['{ x(i: { f: 1e400 }) }'],
  ['query ($f: Float = 1e400) { x(f: $f) }'],
  ['query ($j: JSON = { a: 1e400 }) { x(j: $j) }'],
  ['{ x @at(f: 1e400) }'],
  ['query @at(j: [1e400]) { x }'],
  ['{ ...F } fragment F on Query { x(f: 1e400) }'],
])('a number that is not finite is refused: %s', (text) => {
  expect(faults(text)).toEqual([
    'The number 1e400 in the operation is out of the range of a Float. Send it as a string.',
  ]);
  expect(faults(text.replace('1e400', '1e300'))).toEqual([]);
  expect(faults(text.replace('1e400', '9007199254740993'))).toEqual([]);
});

test('members with reserved names are refused in the words that JSON with them is refused in', () => {
  const refusalOf = (json: string): string => {
    try {
      createJsonParser(10)(json, 'The operation');
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  for (const [literal, json] of [
    ['{ __proto__: { a: 1 } }', '{"__proto__":{"a":1}}'],
    ['[{ a: { constructor: { prototype: 1 } } }]', '[{"a":{"constructor":{"prototype":1}}}]'],
  ] as const)
    expect(faults(`{ x(j: ${literal}) }`)).toEqual([refusalOf(json)]);
  expect(faults('{ x(j: { constructor: "Smith", prototype: 1 }) }')).toEqual([]);
});
