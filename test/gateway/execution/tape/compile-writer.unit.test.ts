/** The compiled writer against what completes answers the long way: what it writes is the same, or nothing. */
import fc from 'fast-check';
import { buildSchema, getOperationAST, parse } from 'graphql';
import { expect, test } from 'vitest';
import { complete } from '../../../../gateway/execution/response/complete.js';
import { compileWriter } from '../../../../gateway/execution/response/compile-writer.js';
import { responseShape } from '../../../../gateway/execution/response/response-shape.js';
import { answerShape } from '../../../../gateway/execution/tape/answer-shape.js';
import { readValues } from '../../../../gateway/execution/tape/read-values.js';
import { Tape } from '../../../../gateway/execution/tape/tape.js';
import { exactJson, parseExactJson } from '../../../../platform/json/exact-json.js';

const schema = buildSchema(`
  scalar Any
  enum Kind { SMALL LARGE }
  union Either = Thing | Note
  type Query { thing: Thing either: [Either] }
  type Note { text: String! }
  type Thing { id: ID! name: String size: Float count: Int good: Boolean kind: Kind tags: [String!] any: Any inner: Thing }
`);
const query = `{
  thing { id name size count good kind tags any again: id inner { __typename id } }
  either { __typename ... on Thing { id } ... on Note { text } }
}`;
const document = parse(query);
const operation = getOperationAST(document);
if (!operation) throw new Error('There is no operation.');
const shape = responseShape({ schema, operation, fragments: new Map(), dataNames: new Map() }, {});
const write = compileWriter(shape);
const fields = answerShape(query, schema);

const value = fc.oneof(
  { weight: 5, arbitrary: fc.string() },
  fc.constantFrom('SMALL', 'LARGE', 'Thing', 'Note'),
  fc.integer(),
  fc.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
  fc.array(fc.oneof(fc.string(), fc.constant(null), fc.integer())),
  fc
    .constantFrom('9007199254740993', '1e400', '1.0', '-0', '12345678901234567890.5')
    .map((text) => parseExactJson(text)),
);
const thing = fc.record(
  {
    id: value,
    name: value,
    size: value,
    count: value,
    good: value,
    kind: value,
    tags: value,
    any: fc.oneof(value, fc.jsonValue()),
    again: value,
    inner: fc.oneof(fc.constant(null), fc.record({ __typename: value, id: value }, { requiredKeys: [] })),
  },
  { requiredKeys: [] },
);
const fitting = fc.record({
  id: fc.string(),
  name: fc.string(),
  size: fc.double({ noNaN: true, noDefaultInfinity: true }),
  count: fc.constant(7),
  good: fc.boolean(),
  kind: fc.constant('SMALL'),
  tags: fc.array(fc.string()),
  any: fc.jsonValue(),
  again: fc.string(),
  inner: fc.constant(null),
});
const either = fc.array(
  fc.oneof(
    fc.record({ __typename: fc.constant('Thing'), id: fc.string() }),
    fc.record({ __typename: fc.constant('Note'), text: fc.string() }),
  ),
);

test('an answer that is written is the completed one', () => {
  let written = 0;
  fc.assert(
    fc.property(fc.record({ thing: fc.oneof(thing, fitting), either }), (given) => {
      const tape = new Tape();
      const tree = readValues(tape, fields, given);
      const before = tape.length;
      const body = write(tape, tree, {});
      expect(tape.length).toBe(before);
      const completed = complete(shape, tape, tree, {});
      if (!body) return;
      written += 1;
      expect(completed.errors).toEqual([]);
      expect(JSON.parse(body.toString())).toEqual(JSON.parse(`{"data":${exactJson(completed.data) ?? ''}}`));
      // Integers that are ids become strings; all other values are there as they came.
      expect(Object.keys((JSON.parse(body.toString()) as { data: object }).data)).toEqual(['thing', 'either']);
    }),
    { numRuns: 2_000 },
  );
  expect(written).toBeGreaterThan(300);
});

test('ids that are numbers are strings with all of their digits', () => {
  const tape = new Tape();
  const given = parseExactJson(
    '{"thing":{"id":9007199254740993,"again":-12345678901234567890,"any":[9007199254740993]}}',
  );
  const tree = readValues(tape, fields, given as Record<string, unknown>);
  expect(write(tape, tree, {})?.toString()).toBe(
    '{"data":{"thing":{"id":"9007199254740993","name":null,"size":null,"count":null,"good":null,"kind":null,"tags":null,' +
      '"any":[9007199254740993],"again":"-12345678901234567890","inner":null},"either":null}}',
  );
});
