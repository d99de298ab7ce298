/** Numbers that are written in operations reach the subgraphs with their digits. */
import { composeServices } from '@apollo/composition';
import fc from 'fast-check';
import { parse, validate, visit, type ConstValueNode, type ValueNode } from 'graphql';
import { expect, test } from 'vitest';
import { exactValueOf } from '../../../gateway/execution/variables/literal-value.js';
import { planOperation } from '../../../gateway/supergraph/plan-operation.js';
import { buildSupergraph } from '../../../gateway/supergraph/supergraph.js';
import { exactNumber, isLosslessNumber } from '../../../platform/json/exact-json.js';
import { fed2 } from '../federation/federation-world.js';

const { supergraphSdl = '' } = composeServices([
  {
    name: 'a',
    typeDefs: parse(`${fed2} directive @at(n: Long) on FIELD | QUERY
      scalar Long input In { long: Long longs: [Long!] f: Float id: ID inner: In }
      type Query { e: E x(long: Long, i: In, f: Float, id: ID, longs: [Long]): Int }
      type Mutation { m(long: Long): Int } type Subscription { s(long: Long): E }
      type E @key(fields: "id") { id: ID! }`),
  },
  { name: 'b', typeDefs: parse(`${fed2} scalar Long type E @key(fields: "id") { id: ID! y(long: Long): Int }`) },
]);
const supergraph = buildSupergraph(supergraphSdl);

/** What subgraphs are asked, one text for each fetch. */
function asked(query: string, operationName?: string): string[] {
  const document = parse(query);
  expect(validate(supergraph.apiSchema, document), query).toEqual([]);
  const { queryPlan } = planOperation(supergraph, document, operationName);
  const texts: string[] = [];
  JSON.stringify(queryPlan, (key, value: unknown) => {
    if (key === 'operation' && typeof value === 'string') texts.push(value);
    return value;
  });
  return texts;
}

const big = '9007199254740993';

test.each([
  ['an argument', `{ x(long: ${big}) }`, [`{x(long:${big})}`]],
  ['an input object', `{ x(i: {inner: {long: ${big}}}) }`, [`{x(i:{inner:{long:${big}}})}`]],
  ['a list', `{ x(i: {longs: [1, -${big}]}) }`, [`{x(i:{longs:[1 -${big}]})}`]],
  ['one for a list', `{ x(longs: ${big}) }`, [`{x(longs:[${big}])}`]],
  ['an ID', `{ x(id: ${big}0000000) }`, [`{x(id:${big}0000000)}`]],
  ['a literal of a scalar', `{ x(long: {a: [${big}, "${big}"]}) }`, [`{x(long:{a:[${big} "${big}"]})}`]],
  ['a default', `query ($l: Long = ${big}) { x(long: $l) }`, [`query($l:Long=${big}){x(long:$l)}`]],
  ['a mutation', `mutation { m(long: ${big}) }`, [`mutation{m(long:${big})}`]],
  ['a fragment', `{ ...F } fragment F on Query { x(long: ${big}) }`, [`{x(long:${big})}`]],
])('%s has its digits', (_what, query, texts) => {
  expect(asked(query)).toEqual(texts);
});

test('what is fetched of an entity, and the events of a subscription, have theirs', () => {
  const entity = `...on E{y(long:${big})}`;
  expect(asked(`{ e { y(long: ${big}) } }`).at(-1)).toContain(entity);
  const [primary, rest] = asked(`subscription { s(long: ${big}) { y(long: ${big}) } }`);
  expect(primary).toContain(`s(long:${big})`);
  expect(rest).toContain(entity);
});

test('a Float may be rounded, and stays one', () => {
  expect(asked('{ x(f: 123456789012345678901234) }')).toEqual(['{x(f:1.2345678901234569e+23)}']);
  expect(asked('{ x(f: 9007199254740993.5, i: {f: 9007199254740993}) }')).toEqual([
    '{x(f:9007199254740994 i:{f:9007199254740992})}',
  ]);
});

test('fragments of other operations, with variables of theirs, are not looked at', () => {
  const query = 'query A($l: Long!) { ...F } query B { e { id } } fragment F on Query { x(long: $l) }';
  expect(asked(query, 'B')).toEqual([expect.stringContaining('{e{id}}')]);
});

const digits = fc.oneof(
  fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }).map(String),
  fc.double({ noDefaultInfinity: true, noNaN: true }).map((value) => String(value === 0 ? 0 : value)),
);
const { literal } = fc.letrec<{ literal: string }>((tie) => ({
  literal: fc.oneof(
    { depthSize: 'small' },
    digits,
    fc.constantFrom('true', 'null', 'ENUM', '"text"'),
    fc.array(tie('literal')).map((values) => `[${values.join(', ')}]`),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), tie('literal')).map(
      (fields) =>
        `{${Object.entries(fields)
          .map(([name, value]) => `${name}: ${value}`)
          .join(', ')}}`,
    ),
  ),
}));

test('any literal of a custom scalar is sent with the value that it was written with', () => {
  fc.assert(
    fc.property(literal, (text) => {
      const [operation = ''] = asked(`{ x(long: ${text}) }`);
      expect(valueIn(operation)).toEqual(valueIn(`{ x(long: ${text}) }`));
    }),
  );
});

/** As JSON, an enum value as its name, with the members of objects in one order. */
function valueIn(query: string): unknown {
  let found: ValueNode | undefined;
  visit(parse(query), { Argument: ({ value }) => void (found = value) });
  return numbers(exactValueOf(found as ConstValueNode));
}

/** One text for each number: 1.0 and 1 are the same. */
function numbers(value: unknown): unknown {
  if (isLosslessNumber(value)) return `number ${value.value}`;
  if (typeof value === 'number') return exactNumber(String(value));
  if (Array.isArray(value)) return value.map(numbers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, numbers(member)]));
}
