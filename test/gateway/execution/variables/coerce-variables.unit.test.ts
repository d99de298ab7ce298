import fc from 'fast-check';
import { buildSchema, getOperationAST, parse } from 'graphql';
import { describe, expect, it } from 'vitest';
import { compileCoercion } from '../../../../gateway/execution/variables/coerce-variables.js';
import { exactJson, LosslessNumber, parseExactJson } from '../../../../platform/json/exact-json.js';

const schema = buildSchema(`
  scalar Long
  enum Mode { ON OFF }
  input In { id: ID ids: [ID!] n: Int f: Float s: String on: Boolean mode: Mode long: Long inner: In }
  type Query { x(id: ID, ids: [[ID]], n: Int, f: Float, long: Long, i: In, is: [In!], mode: Mode, s: String): Int }
`);

function coerce(definitions: string, json: string) {
  const document = parse(`query (${definitions}) { x }`);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  return compileCoercion(schema, document, operation)(parseExactJson(json) as Record<string, unknown>);
}

function sent(definitions: string, json: string): string | undefined {
  const result = coerce(definitions, json);
  if ('errors' in result) throw new Error(result.errors.map(({ message }) => message).join('\n'));
  return exactJson(result.sent);
}

const big = '9007199254740993';

describe('numbers that a JavaScript number cannot hold', () => {
  it('are the digits of an ID, wherever that is', () => {
    expect(sent('$id: ID', `{"id":${big}}`)).toBe(`{"id":"${big}"}`);
    expect(sent('$ids: [[ID!]!]!', `{"ids":[[${big},1],["x"]]}`)).toBe(`{"ids":[["${big}",1],["x"]]}`);
    expect(sent('$ids: [ID!]', `{"ids":${big}}`)).toBe(`{"ids":"${big}"}`);
    const nested = `{"is":[{"inner":{"ids":[${big}]}},{"id":"a"}]}`;
    expect(sent('$is: [In!]', nested)).toBe(`{"is":[{"inner":{"ids":["${big}"]}},{"id":"a"}]}`);
  });

  it('are a Float, and what a custom scalar makes of them, in the digits that came', () => {
    const json = `{"f":${big},"long":-123456789012345678901,"i":{"f":${big}.5,"long":{"a":[${big}]}}}`;
    expect(sent('$f: Float, $long: Long, $i: In', json)).toBe(json);
    const result = coerce('$f: Float, $long: Long', `{"f":${big},"long":${big}}`);
    expect(result).toMatchObject({ coerced: { f: 9007199254740992, long: new LosslessNumber(big) }, isLossless: true });
  });

  it.each([
    ['Int', `Int cannot represent non 32-bit signed integer value: ${big}`],
    ['[Int!]', `Int cannot represent non 32-bit signed integer value: ${big}`],
    ['String', `String cannot represent a non string value: ${big}`],
    ['Boolean', `Boolean cannot represent a non boolean value: ${big}`],
    ['Mode', `Enum "Mode" cannot represent non-string value: ${big}.`],
    ['In', 'Expected type "In" to be an object.'],
  ])('are refused for %s, in their digits', (type, message) => {
    const result = coerce(`$v: ${type}`, `{"v":${big}}`);
    if (!('errors' in result)) throw new Error('It was taken.');
    expect(result.errors.map((error) => error.message)).toEqual([`Variable "$v" got invalid value ${big}; ${message}`]);
    expect(result.errors[0]?.locations).toEqual([{ line: 1, column: 8 }]);
  });

  it('are refused where they are in an object, with the place', () => {
    const result = coerce('$i: In', `{"i":{"inner":{"n":${big}}}}`);
    if (!('errors' in result)) throw new Error('It was taken.');
    expect(result.errors[0]?.message).toBe(
      `Variable "$i" got invalid value ${big} at "i.inner.n"; Int cannot represent non 32-bit signed integer value: ${big}`,
    );
  });
});

it.each([
  ['$f: Float', '{"f":1e400}', '1e400'],
  ['$long: Long', '{"long":{"a":[1,{"b":-1.5E+999}]}}', '-1.5E+999'],
  ['$id: ID', `{"id":1${'0'.repeat(400)}}`, `1${'0'.repeat(39)}…`],
  ['$f: Float', '{"unknown":1e400}', '1e400'],
])('a number that is not finite is refused: %s of %s', (definitions, json, number) => {
  const result = coerce(definitions, json);
  if (!('errors' in result)) throw new Error('It was taken.');
  expect(result.errors.map(({ message }) => message)).toEqual([
    `The number ${number} in the variables is out of the range of a Float. Send it as a string.`,
  ]);
});

it('variables without such numbers are sent as they came', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (long, id, n) => {
      const given = { long, i: { id, n }, unknown: long };
      const document = parse('query ($long: Long, $i: In) { x }');
      const operation = getOperationAST(document);
      if (!operation) throw new Error('no operation');
      const result = compileCoercion(schema, document, operation)(given);
      if ('errors' in result) throw new Error(result.errors[0]?.message);
      expect(result.sent).toBe(given);
      expect(result.isLossless).toBe(false);
    }),
  );
});

it('a custom scalar is sent any JSON as it came', () => {
  const digits = fc.bigInt({ min: 2n ** 53n, max: 2n ** 200n }).map(String);
  const number = digits.map((text) => new LosslessNumber(text));
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      number,
      fc.string(),
      fc.integer(),
      fc.array(tie('value')),
      fc.dictionary(fc.string(), tie('value')),
    ),
  }));
  fc.assert(
    fc.property(value, number, (any, one) => {
      const text = exactJson({ long: [any, one] }) ?? '';
      // Only what parsing gives can come: some of the integers fit.
      expect(sent('$long: Long', text)).toBe(exactJson(parseExactJson(text)));
    }),
  );
});
