import { buildSchema, getOperationAST, parse } from 'graphql';
import { expect, test } from 'vitest';
import { costOf } from '../../../gateway/guards/cost/cost.js';
import { createCostModel } from '../../../gateway/guards/cost/cost-model.js';
import { pageSizes } from '../../../gateway/guards/page-size.js';

const schema = buildSchema(`
  extend schema @link(url: "https://specs.apollo.dev/cost/v0.1", import: ["@cost", { name: "@listSize", as: "@length" }])
  directive @link(url: String, import: [Import]) on SCHEMA
  scalar Import
  directive @cost(weight: Int!) on FIELD_DEFINITION | OBJECT | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | SCALAR | ENUM
  directive @length(assumedSize: Int, slicingArguments: [String!], sizedFields: [String!], requireOneSlicingArgument: Boolean = true) on FIELD_DEFINITION
  type Query {
    one: Thing
    leaf: Int
    things: [Thing!]!
    few: [Thing!]! @length(assumedSize: 3)
    sliced(count: Int = 4, page: Page): [Thing!]! @length(slicingArguments: ["count", "page.size"])
    connection(first: Int = 20, last: Int): ThingConnection!
    sized(count: Int): Wrapper @length(slicingArguments: ["count"], sizedFields: ["inner"])
    dear: Dear
    heavy: Int @cost(weight: 7)
    search(text: String @cost(weight: 5), filter: Filter): Int
    any: [Any!]!
    named: Named
  }
  type Mutation { write: Thing }
  input Page { size: Int }
  input Filter { exact: Boolean @cost(weight: 2) not: Filter }
  type Thing implements Named { id: ID name: String parts: [Thing!]! }
  type Dear implements Named @cost(weight: 50) { id: ID name: String one: Thing }
  interface Named { name: String }
  union Any = Thing | Dear
  type ThingConnection { edges: [ThingEdge!]! nodes: [Thing!]! total: Int }
  type ThingEdge { node: Thing! }
  type Wrapper { inner: [Thing!]! outer: [Thing!]! }
`);
const model = createCostModel(schema, 10);

function cost(text: string) {
  const document = parse(text);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  return costOf(model, document, operation);
}

test.each([
  ['{ leaf }', 0],
  ['{ one { id name } }', 1],
  ['{ a: one { id } b: one { id } }', 2],
  ['{ one { id } ...F } fragment F on Query { one { name } }', 1],
  ['{ things { id } }', 10],
  ['{ things { parts { id } } }', 110],
  ['{ few { parts { id } } }', 33],
  ['{ sliced { id } }', 4],
  ['{ sliced(count: 6, page: { size: 9 }) { id } }', 9],
  ['{ connection(first: 5) { total } }', 1],
  ['{ connection(first: 5) { edges { node { id } } } }', 1 + 5 * 2],
  ['{ connection { nodes { id } } }', 1 + 20],
  ['{ connection(first: 2) { edges { node { id } } nodes { id } } }', 1 + 2 * 2 + 2],
  [
    '{ connection(last: 30) { ... on ThingConnection { ...F } } } fragment F on ThingConnection { nodes { id } }',
    1 + 30,
  ],
  ['{ sized(count: 2) { inner { id } outer { id } } }', 1 + 2 + 10],
  ['{ dear { id } }', 50],
  ['{ heavy }', 7],
  ['{ search(text: "a", filter: { exact: true, not: { exact: false } }) }', 5 + 2 + 2],
  ['{ named { ... on Thing { parts { id } } ... on Dear { one { id } } } }', 1 + 10],
  ['{ named { name ... on Named { name } ... on Dear { one { id } } } }', 1 + 1],
  ['mutation { write { id } }', 11],
  ['{ __schema { types { name } } __typename }', 0],
])('%s costs %d', (text, expected) => {
  expect(cost(text).estimate({})).toBe(expected);
});

test('what variables say of pages and arguments counts', () => {
  const operation = cost(
    'query ($n: Int, $f: Filter) { connection(first: $n) { nodes { parts { id } } } search(filter: $f) }',
  );
  expect(operation.estimate({ n: 3 })).toBe(1 + 3 * 11);
  expect(operation.estimate({ n: 300, f: { exact: true } })).toBe(1 + 300 * 11 + 2);
  expect(operation.estimate({})).toBe(1 + 10 * 11);
});

test('what an answer did cost is counted in it', () => {
  const operation = cost(
    '{ connection(first: 100) { edges { node { id parts { id } } } } dear { id } any { __typename } }',
  );
  const thing = (parts: number) => ({ node: { id: '1', parts: Array.from({ length: parts }, () => ({ id: '2' })) } });
  const data = { connection: { edges: [thing(0), thing(3)] }, dear: null, any: [{ __typename: 'Thing' }] };
  expect(operation.actual(data, {})).toBe(1 + 2 * 2 + 3 + 1);
});

test('pages have a greatest size, as a literal, a default or a variable, wherever they are', () => {
  const faultOf = (text: string, variables = {}) => {
    const document = parse(text);
    const operation = getOperationAST(document);
    if (!operation) throw new Error('no operation');
    const pages = pageSizes(document, operation, 100);
    return pages.fault ?? pages.faultOf(variables);
  };
  expect(faultOf('{ connection(first: 100) { total } }')).toBeUndefined();
  expect(faultOf('{ connection(first: 101) { total } }')).toBe(
    '"first" is 101; a page has at most 100. Ask for the next page with its cursor.',
  );
  expect(faultOf('{ ...F } fragment F on Query { connection(last: 1000) { total } }')).toContain('"last" is 1000');
  expect(faultOf('query ($n: Int = 500) { connection(first: $n) { total } }')).toContain('500');
  const query = 'query ($n: Int) { connection(first: $n) { total } }';
  expect(faultOf(query, { n: 100 })).toBeUndefined();
  expect(faultOf(query, { n: 2_000 })).toContain('2000');
});
