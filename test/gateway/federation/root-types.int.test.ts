/**
 * Subgraphs whose root types have other names than those of the supergraph, as Hasura, Lacinia and graphene have them.
 * Source: https://github.com/graphql-hive/router/issues/1231 and https://github.com/apollographql/federation/issues/958
 */
import { parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';

describe('subgraphs with root types of other names', () => {
  let graph: Federation;
  const root: Thing = { __typename: 'Query' };
  const site: Thing = { __typename: 'Site', id: 's', name: 'North', query: root };
  const renamed: Thing = { __typename: 'Renamed', site, query: root };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        hasura: `
          schema { query: query_root mutation: mutation_root }
          type query_root { site: Site sites: [Site] now: Int back: query_root }
          type mutation_root { rename: Renamed touch: Int }
          type Renamed { site: Site query: query_root }
          type Site @key(fields: "id") { id: ID! name: String query: query_root }`,
        lacinia: `
          schema { query: QueryRoot mutation: MutationRoot }
          type QueryRoot { weather: Int home: QueryRoot }
          type MutationRoot { reset: Int }
          type Site @key(fields: "id") { id: ID! weather: Int root: QueryRoot }`,
        plain: `
          type Query { plain: Int }
          type Mutation { count: Int }
          type Site @key(fields: "id") { id: ID! height: Int }`,
      },
      data: {
        roots: {
          site,
          sites: [site, null],
          now: 1,
          back: root,
          weather: 20,
          home: root,
          plain: 3,
          rename: renamed,
          touch: 2,
          reset: 4,
          count: 5,
        },
        entities: [Object.assign(site, { weather: 21, height: 9, root })],
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test.each([
    '{ __typename site { __typename name } plain weather }',
    '{ site { query { __typename } } }',
    '{ site { query { __typename now type: __typename } root { __typename weather } } }',
    '{ site { query { weather plain now } weather height } }',
    '{ sites { __typename query { __typename site { __typename query { now } } } } }',
    '{ back { back { __typename home { __typename now back { plain } } } } }',
    '{ ... on Query { now } ...R site { query { ...R ... on Query { weather } } } } fragment R on Query { __typename plain now }',
    'mutation { __typename rename { __typename query { __typename now site { name weather } } site { height } } }',
    'mutation { ... on Mutation { touch } ... { reset } count }',
    // A fetch for the place of a field whose type is the root, of nothing but fields of the root.
    '{ home: plain kind: __typename weather site { name height weather } plain: back { ...F } } fragment F on Query { ... { weather __typename } }',
    '{ home { ...F } back { __typename } } fragment F on Query { sites { name } weather __typename sites { weather } }',
    'mutation { ...M touch } fragment M on Mutation { reset count rename { query { ...Q } } } fragment Q on Query { plain now __typename }',
  ])('answer as the monolith does: %s', async (query) => {
    await graph.compare(query);
  });

  test.each([true, false])('are asked with the conditions of fragments on root types, which are %s', async (yes) => {
    const variables = { yes };
    await graph.compare('query ($yes: Boolean!) { ... on Query @include(if: $yes) { now weather } plain }', variables);
    await graph.compare(
      'query ($yes: Boolean!) { ...F @skip(if: $yes) site { query { ...F @include(if: $yes) } } } fragment F on Query { now plain }',
      variables,
    );
    await graph.compare(
      'mutation ($yes: Boolean!) { ...F @include(if: $yes) touch } fragment F on Mutation { reset touch count }',
      variables,
    );
  });

  test('are asked for no root type by its name', async () => {
    for (const query of [
      'mutation ($yes: Boolean!) { ...F @include(if: $yes) } fragment F on Mutation { touch rename { query { ... on Query { now } } } }',
      'query ($yes: Boolean!) { site { query { ... on Query @include(if: $yes) { now } } } }',
    ]) {
      await graph.compare(query, { yes: true });
      for (const request of graph.requests) expect(request.query).not.toMatch(/\b(Query|Mutation)\b/);
      for (const request of graph.requests) expect(() => parse(request.query)).not.toThrow();
    }
  });

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});

describe('a root type that is of an interface, as PostGraphile has it', () => {
  let graph: Federation;
  const root: Thing = { __typename: 'Query', nodeId: 'query' };
  const tank: Thing = { __typename: 'Tank', nodeId: 't', query: root };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        postgraphile: `
          type Query implements Node { nodeId: ID! query: Query! node: Node nodes: [Node] }
          interface Node { nodeId: ID! }
          type Tank implements Node @key(fields: "nodeId") { nodeId: ID! query: Query }`,
        levels: 'type Query { level: Int } type Tank @key(fields: "nodeId") { nodeId: ID! depth: Int }',
      },
      data: {
        roots: { nodeId: 'query', query: root, node: root, nodes: [tank, root], level: 4 },
        entities: [Object.assign(tank, { depth: 3 })],
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test.each([
    '{ node { __typename nodeId ... on Query { level node { __typename ... on Query { nodeId } } } } }',
    '{ nodes { ... on Tank { depth query { __typename nodeId } } ... on Query { __typename self: query { level } } } }',
    '{ query { __typename ... on Node { __typename nodeId ... on Query { level } } } }',
    // A fragment whose spreads are all at roots.
    '{ ... on Node { ...F kind: __typename } query { ...F query { level } } } fragment F on Node { nodeId __typename nodeId }',
    // From one subgraph, for one place: fields of the root and those of an entity.
    '{ node { ... on Query { level } ... on Tank { depth } } nodes { ... on Query { level } ... on Tank { depth } } }',
  ])('is asked for by its name where its place does not say it: %s', async (query) => {
    await graph.compare(query);
  });

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});
