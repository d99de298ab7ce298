/**
 * Random graphs to compare with: one schema executed by graphql-js as a whole, and the same schema cut into two subgraphs behind
 * the executor. What a client gets must be the same.
 */
import { composeServices } from '@apollo/composition';
import { buildSubgraphSchema } from '@apollo/subgraph';
import fc from 'fast-check';
import { buildSchema, execute, parse, type DocumentNode, type GraphQLSchema } from 'graphql';
import { createExecutor, type Executor } from '../../../gateway/execution/executor.js';
import type { Subgraph, SubgraphRequest, SubgraphResponse } from '../../../gateway/execution/subgraphs/subgraph.js';
import { variablesText } from '../../../gateway/execution/subgraphs/subgraph.js';
import { buildSupergraph } from '../../../gateway/supergraph/supergraph.js';

const types = `
  enum Kind { SMALL LARGE }
  scalar Anything
`;
const federated =
  'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@requires", "@external", "@shareable"])';

const first = `${federated} ${types.replace('scalar', 'scalar')}
  type Query { thing(id: ID!): Thing things: [Thing] grid: [[Thing!]] any: Item items: [Item!] named: Named }
  union Item = Thing | Note
  interface Named { name: String }
  type Thing implements Named @key(fields: "id") { id: ID! name: String sure: String! kind: Kind size: Int tags: [String!] nested: Inner next: Thing friends: [Thing!] }
  type Note implements Named { name: String text: String! about: Thing }
  type Inner @shareable { a: Int b: String }
`;
const second = `${federated}
  scalar Anything
  type Thing @key(fields: "id") { id: ID! size: Int @external weight: Float risky: String! twice: Int @requires(fields: "size") blob: Anything echo(text: String, times: Int = 2): String parent: Thing others: [Thing] inner: Inner }
  type Inner @shareable { a: Int b: String }
`;
const whole = `${types}
  directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
  directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
  type Query { thing(id: ID!): Thing things: [Thing] grid: [[Thing!]] any: Item items: [Item!] named: Named }
  union Item = Thing | Note
  interface Named { name: String }
  type Thing implements Named { id: ID! name: String sure: String! kind: Kind size: Int tags: [String!] nested: Inner next: Thing friends: [Thing!]
    weight: Float risky: String! twice: Int blob: Anything echo(text: String, times: Int = 2): String parent: Thing others: [Thing] inner: Inner }
  type Note implements Named { name: String text: String! about: Thing }
  type Inner { a: Int b: String }
`;

interface ThingData {
  readonly name: string | null;
  readonly kind: 'SMALL' | 'LARGE' | null;
  readonly size: number | null;
  readonly weight: number | null;
  readonly risky: string | null;
  readonly links: readonly number[];
  readonly tags: readonly string[] | null;
  readonly blob: unknown;
}

export interface World {
  readonly things: readonly ThingData[];
}

export const worlds: fc.Arbitrary<World> = fc.record({
  things: fc.array(
    fc.record({
      name: fc.option(fc.string({ unit: 'binary', maxLength: 80 }), { freq: 4 }),
      kind: fc.constantFrom('SMALL' as const, 'LARGE' as const, null),
      size: fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
      weight: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
      risky: fc.option(fc.constant('safe'), { freq: 6 }),
      links: fc.array(fc.nat(20), { maxLength: 3 }),
      tags: fc.option(fc.array(fc.string({ maxLength: 5 }), { maxLength: 3 })),
      blob: fc.jsonValue({ maxDepth: 2 }),
    }),
    { minLength: 1, maxLength: 6 },
  ),
});

/** The values of all fields of the thing; of what is in it, too, as functions. */
function thing({ things }: World, index: number): Record<string, unknown> {
  const at = index % things.length;
  const data = things[at];
  if (!data) throw new Error('There are no things.');
  const link = (place: number) => {
    const target = data.links[place];
    return target === undefined ? null : thing({ things }, target);
  };
  const links = () => data.links.map((target) => thing({ things }, target));
  return {
    __typename: 'Thing',
    id: String(at),
    ...data,
    sure: `thing ${at}`,
    twice: data.size === null ? null : (data.size * 2) | 0,
    echo: ({ text, times }: { text?: string | null; times?: number | null }) =>
      text === null || text === undefined ? null : text.repeat(Math.max(0, Math.min(times ?? 0, 3))),
    nested: { a: data.size, b: data.name },
    inner: { a: data.size, b: data.name },
    next: () => link(0),
    parent: () => link(1),
    friends: links,
    others: links,
  };
}

function rootOf(world: World): Record<string, unknown> {
  const all = world.things.map((_data, index) => index);
  const note = () => ({ __typename: 'Note', name: 'note', text: 'text', about: thing(world, 1) });
  return {
    thing: ({ id }: { id: string }) =>
      Number.isInteger(Number(id)) && Number(id) >= 0 ? thing(world, Number(id)) : null,
    things: () => all.map((index) => (index === 2 ? null : thing(world, index))),
    grid: () => [all.map((index) => thing(world, index)), null, []],
    any: () => (all.length % 2 === 0 ? note() : thing(world, 0)),
    items: () => all.map((index) => (index % 2 === 0 ? thing(world, index) : note())),
    named: () => (all.length % 2 === 0 ? thing(world, 0) : note()),
  };
}

const monolith = buildSchema(whole);
for (const name of ['Item', 'Named']) {
  const type = monolith.getType(name) as { resolveType?: (value: { __typename: string }) => string };
  type.resolveType = ({ __typename }) => __typename;
}

/** What graphql-js gives for the operation, with the paths of its errors. */
export async function executeWhole(world: World, document: DocumentNode, variableValues: Record<string, unknown>) {
  return execute({ schema: monolith, document, rootValue: rootOf(world), variableValues });
}

export interface FederatedWorld {
  readonly executor: Executor;
  readonly apiSchema: GraphQLSchema;
  current: World;
  /** What becomes of an answer on its way; undefined: nothing. */
  spoil: Spoil | undefined;
}

export type Spoil = (name: string, request: SubgraphRequest, response: SubgraphResponse) => SubgraphResponse;

/** The same behind the executor; subgraphs in this process that are spoken to in JSON, as over HTTP. */
export function federate(): FederatedWorld {
  const sdls = { first, second };
  const composed = composeServices(
    Object.entries(sdls).map(([name, sdl]) => ({ name, url: `http://${name}`, typeDefs: parse(sdl) })),
  );
  if (composed.errors) throw new AggregateError(composed.errors);
  const state: { current: World; spoil: Spoil | undefined } = { current: { things: [] }, spoil: undefined };
  const resolve = ({ id }: { id: string }) => thing(state.current, Number(id));
  const byType = { __resolveType: ({ __typename }: { __typename: string }) => __typename };
  const resolvers = { Thing: { __resolveReference: resolve } };
  const schemas: Record<string, GraphQLSchema> = {
    first: buildSubgraphSchema([
      { typeDefs: parse(first), resolvers: { ...resolvers, Item: byType, Named: byType } as never },
    ]),
    second: buildSubgraphSchema([{ typeDefs: parse(second), resolvers: resolvers as never }]),
  };
  const subgraph = (name: string): Subgraph => ({
    name,
    async fetch(request: SubgraphRequest) {
      const body = JSON.parse(`${request.operation.bodyStart}${variablesText(request)}}}`) as {
        query: string;
        variables: Record<string, unknown>;
      };
      const schema = schemas[name];
      if (!schema) throw new Error(`There is no ${name}.`);
      const rootValue = rootOf(state.current);
      const result = await execute({ schema, document: parse(body.query), variableValues: body.variables, rootValue });
      const text = JSON.stringify(result);
      const read = state.spoil ? undefined : request.reader?.fromBytes(Buffer.from(text));
      if (read) return { data: read };
      const response = JSON.parse(text) as SubgraphResponse;
      const spoilt = state.spoil ? state.spoil(name, request, response) : response;
      return spoilt.data && request.reader ? { ...spoilt, data: request.reader.fromValues(spoilt.data) } : spoilt;
    },
  });
  const supergraph = buildSupergraph(composed.supergraphSdl);
  const executor = createExecutor({
    supergraph: () => supergraph,
    subgraphs: { of: subgraph },
    formatError: (error) => error,
  });
  return {
    executor,
    apiSchema: supergraph.apiSchema,
    get current() {
      return state.current;
    },
    set current(world) {
      state.current = world;
    },
    get spoil() {
      return state.spoil;
    },
    set spoil(spoil) {
      state.spoil = spoil;
    },
  };
}

const leaves = [
  'id',
  'name',
  'sure',
  'kind',
  'size',
  'tags',
  'weight',
  'risky',
  'twice',
  'blob',
  '__typename',
  'constructor: name',
  'again: size',
  'echo(text: "é\\"\\n")',
  'x: echo(text: $text, times: 3)',
];
const conditions = ['', '', '', ' @skip(if: $yes)', ' @include(if: $yes)', ' @include(if: $no)', ' @skip(if: false)'];

function selectionsOf(depth: number): fc.Arbitrary<string> {
  const leaf = fc
    .tuple(fc.constantFrom(...leaves), fc.constantFrom(...conditions))
    .map(([name, condition]) => name + condition);
  const inner = fc.constantFrom('nested { a b }', 'inner { b }', 'nested { a } nested { b }');
  if (depth === 0) return fc.array(fc.oneof(leaf, inner), { minLength: 1, maxLength: 4 }).map((all) => all.join(' '));
  const deeper = selectionsOf(depth - 1);
  const link = fc
    .tuple(fc.constantFrom('next', 'parent', 'friends', 'others', 'p: parent'), fc.constantFrom(...conditions), deeper)
    .map(([name, condition, set]) => `${name}${condition} { id ${set} }`);
  const fragment = fc
    .tuple(fc.constantFrom('... ', '... on Thing '), fc.constantFrom(...conditions), deeper)
    .map(([head, condition, set]) => `${head}${condition} { ${set} }`);
  return fc
    .array(fc.oneof(leaf, leaf, inner, link, fragment), { minLength: 1, maxLength: 5 })
    .map((all) => all.join(' '));
}

/** Operations on the graph; some of their variables decide what is in the answer. */
export const operations: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      selectionsOf(2).map((set) => `thing(id: "1") { ${set} }`),
      selectionsOf(2).map((set) => `things { ${set} }`),
      selectionsOf(1).map((set) => `grid { ${set} }`),
      selectionsOf(1).map(
        (set) => `items { __typename ... on Thing { ${set} } ... on Note { text about { ${set} } } }`,
      ),
      selectionsOf(1).map((set) => `any { ... on Thing { ${set} } ... on Named { name } ... F }`),
      selectionsOf(1).map((set) => `named { name ... on Thing { ${set} } ... F __typename }`),
      fc.constant('__typename'),
      fc.constant('__type(name: "Thing") { name kind fields { name } }'),
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map(
    (roots) =>
      `query Q($yes: Boolean = true, $no: Boolean!, $text: String) { ${roots.map((root, index) => `r${index}: ${root}`).join(' ')} }
       fragment F on Note { text about { sure weight } }`,
  );
