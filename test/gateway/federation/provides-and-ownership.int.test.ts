/** Whose a field is: `@provides`, `@override`, `@shareable`, `@inaccessible`, `@external` in both federations, and types of which subgraphs know parts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';

describe('@provides', () => {
  let graph: Federation;
  const maker: Thing = {
    __typename: 'Maker',
    id: 'k',
    name: 'Acme',
    country: 'CH',
    address: { __typename: 'Address', city: 'Bern', zip: '3000' },
  };
  const valve: Thing = { __typename: 'Valve', id: 'v', title: 'Valve', maker, bore: 5, price: 10 };
  const motor: Thing = { __typename: 'Motor', id: 'o', title: 'Motor', maker, torque: 7, price: 20 };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        stock: `
          type Query {
            parts: [Part] featured: Part @provides(fields: "... on Valve { title price } ... on Motor { title }")
            valve: Valve @provides(fields: "price maker { name address { city } }")
            any: [Any] @provides(fields: "... on Motor { price maker { country } }")
            motors: [Motor]
          }
          interface Part { id: ID! title: String }
          union Any = Valve | Motor
          type Valve implements Part @key(fields: "id") { id: ID! title: String @external price: Int @external maker: Maker bore: Int }
          type Motor implements Part @key(fields: "id") { id: ID! title: String @external price: Int @external maker: Maker torque: Int }
          type Maker @key(fields: "id") { id: ID! name: String @external country: String @external address: Address @external }
          type Address { city: String @external }`,
        shop: `
          type Valve @key(fields: "id") { id: ID! title: String @shareable price: Int @shareable }
          type Motor @key(fields: "id") { id: ID! title: String @shareable price: Int @shareable }`,
        makers: `
          type Maker @key(fields: "id") { id: ID! name: String @shareable country: String @shareable address: Address @shareable }
          type Address @shareable { city: String zip: String }`,
      },
      data: {
        roots: { parts: [valve, null, motor], featured: valve, valve, any: [motor, valve], motors: [motor] },
        entities: [valve, motor, maker],
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('what comes along on its path is not fetched again', async () => {
    await graph.compare('{ valve { price maker { name address { city } } } }');
    expect(graph.requests.map(({ subgraph }) => subgraph)).toEqual(['stock']);
  });

  test.each([
    ['{ valve { id price } }', ['price']],
    ['{ valve { id cost: price bore } }', ['price']],
    ['{ valve { ... on Valve { price } ... { maker { name } } } }', ['price', 'name']],
    ['{ valve { id bore } }', []],
  ])('of what could come along only what is wanted is asked for: %s', async (query, wanted) => {
    await graph.compare(query);
    const [request, ...others] = graph.requests;
    expect([request?.subgraph, others]).toEqual(['stock', []]);
    const asked = ['price', 'name', 'city', 'country'].filter((field) => request?.query.includes(field));
    expect(asked).toEqual(wanted);
  });

  test('what does not come along on another path is', async () => {
    await graph.compare('{ motors { price title maker { name } } }');
    expect(new Set(graph.requests.map(({ subgraph }) => subgraph))).toEqual(new Set(['stock', 'shop', 'makers']));
  });

  test('interfaces and unions provide for the types that they name', () =>
    graph.compare(
      '{ featured { title ... on Valve { price bore } } any { ... on Motor { price maker { country name } } ... on Valve { price } } }',
    ));

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});

describe('@override, @shareable, @inaccessible', () => {
  let graph: Federation;
  const reading = { __typename: 'Reading', value: 5, unit: 'bar', raw: 500 };
  const tank: Thing = {
    __typename: 'Tank',
    id: 't',
    level: 3,
    limit: 9,
    name: 'Tank',
    secret: 'x',
    reading,
    alarm: 'low',
    kind: 'WATER',
    mode: 'AUTO',
  };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        old: `
          type Query { tank: Tank @shareable tanks(filter: Filter): [Tank] mode: Mode }
          type Tank @key(fields: "id") { id: ID! level: Int limit: Int name: String @shareable reading: Reading @shareable secret: String @inaccessible kind: Kind @shareable }
          type Reading @shareable { value: Int unit: String }
          enum Kind { WATER OIL @inaccessible }
          enum Mode { AUTO MANUAL }
          input Filter { name: String level: Int kind: Kind }`,
        new: `
          type Query { tank: Tank @shareable search(filter: Filter): [Tank] }
          type Tank @key(fields: "id") {
            id: ID! level: Int @override(from: "old") limit: Int @external
            name: String @override(from: "none") @shareable
            alarm: String @requires(fields: "limit") reading: Reading @shareable kind: Kind @shareable
          }
          type Reading @shareable { value: Int raw: Int }
          enum Kind { WATER OIL }
          input Filter { name: String kind: Kind }`,
      },
      data: {
        roots: {
          tank,
          mode: 'AUTO',
          tanks: ({ filter }: { filter?: { name?: string } }) => (filter?.name === 'none' ? [] : [tank]),
          search: ({ filter }: { filter?: { kind?: string } }) => (filter?.kind === 'WATER' ? [tank] : null),
        },
        entities: [tank],
        computed: { 'Tank.alarm': ({ limit }) => (Number(limit) > 5 ? 'high' : 'low') },
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('a field that was taken over is asked of its new owner alone', () =>
    graph.compare('{ tanks { level name alarm } tank { level } }'));

  test('what is inaccessible is not in the schema of clients, and can be in an answer of a subgraph', () => {
    expect(graph.supergraph.apiSchema.getType('Tank')).toBeDefined();
    expect(
      Object.keys((graph.supergraph.apiSchema.getType('Tank') as unknown as { getFields(): object }).getFields()),
    ).not.toContain('secret');
  });

  test('an input has the fields that all subgraphs know', () => {
    const filter = graph.supergraph.apiSchema.getType('Filter') as unknown as { getFields(): object };
    expect(Object.keys(filter.getFields())).toEqual(['name', 'kind']);
    return graph.compare(
      'query ($kind: Kind) { search(filter: { kind: $kind }) { id } tanks(filter: { name: "none" }) { id } }',
      { kind: 'WATER' },
    );
  });

  test('a value that subgraphs know in parts is put together', () =>
    graph.compare('{ tank { reading { value unit raw } } }'));

  test('any query is answered as the monolith answers it', () => graph.compareAny());
});

describe('federation 1', () => {
  let graph: Federation;
  const user: Thing = { __typename: 'User', id: 'u', name: 'Ada', email: 'a@x', visits: 3, rank: 'gold' };
  const visit: Thing = { __typename: 'Visit', id: 'i', user, at: 'noon' };

  beforeAll(async () => {
    graph = await startFederation({
      federation1: ['users', 'visits'],
      subgraphs: {
        users:
          'type Query { user: User } type User @key(fields: "id") @key(fields: "email") { id: ID! name: String email: String! }',
        visits: `
          extend type Query { visits: [Visit] }
          type Visit @key(fields: "id") { id: ID! user: User @provides(fields: "name") at: String }
          extend type User @key(fields: "id") { id: ID! @external name: String @external visits: Int }`,
        ranks:
          'type User @key(fields: "email") @extends { email: String! @external visits: Int @external rank: String @requires(fields: "visits") }',
      },
      data: {
        roots: { user, visits: [visit, null] },
        entities: [user, visit],
        computed: { 'User.rank': ({ visits }) => (Number(visits) > 2 ? 'gold' : 'none') },
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('types that are extended, with keys and fields that are external', () =>
    graph.compare('{ user { name visits rank } visits { at user { id name email rank } } }'));
  test('any query is answered as the monolith answers it', () => graph.compareAny());
});
