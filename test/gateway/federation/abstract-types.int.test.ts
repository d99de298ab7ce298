/** Interfaces, unions and interface objects whose types and fields are distributed over subgraphs. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';

describe('interfaces and unions over several subgraphs', () => {
  let graph: Federation;
  const boiler: Thing = { __typename: 'Boiler', id: 'b', name: 'Boiler', heat: 60, power: 9, note: 'old' };
  const meter: Thing = { __typename: 'Meter', id: 'm', name: 'Meter', total: 7, power: 1, note: null };
  const owner = { __typename: 'Owner', id: 'o', assets: [boiler, null, meter], first: meter };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        assets: `
          type Query { assets: [Asset!]! any: [Any] owner: Owner node(id: ID!): Node }
          interface Node { id: ID! }
          interface Asset implements Node { id: ID! name: String }
          union Any = Boiler | Meter | Owner
          type Boiler implements Asset & Node @key(fields: "id") { id: ID! name: String heat: Int }
          type Meter implements Asset & Node @key(fields: "id") { id: ID! name: String total: Int }
          type Owner implements Node @key(fields: "id") { id: ID! assets: [Asset] first: Any }`,
        power: `
          interface Powered { power: Int label: String }
          type Boiler implements Powered @key(fields: "id") { id: ID! power: Int name: String @external label: String @requires(fields: "name") }
          type Meter implements Powered @key(fields: "id") { id: ID! power: Int name: String @external label: String @requires(fields: "name") }`,
        notes: `
          type Boiler @key(fields: "id") { id: ID! note: String }
          type Meter @key(fields: "id") { id: ID! note: String }`,
      },
      data: {
        roots: {
          assets: [boiler, meter],
          any: [meter, owner, null, boiler],
          owner,
          node: ({ id }: { id: string }) => [boiler, meter, owner].find((each) => each.id === id) ?? null,
        },
        entities: [boiler, meter, owner],
        computed: {
          'Boiler.label': ({ name }) => `the ${String(name)}`,
          'Meter.label': ({ name }) => `a ${String(name)}`,
        },
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('fields that only another subgraph has are joined by the type of each object', () =>
    graph.compare(
      '{ assets { __typename name ... on Powered { power label } ... on Meter { note total } ... on Boiler { note heat } } }',
    ));

  test('types say what they are, wherever they are', () =>
    graph.compare(
      '{ __typename any { kind: __typename ... on Owner { first { __typename } } } node(id: "o") { __typename id } }',
    ));

  test('any query is answered as the monolith answers it', () =>
    graph.compareAny({ id: ['"b"', '"m"', '"o"', '"x"'] }));
});

describe('interface objects', () => {
  let graph: Federation;
  const disk: Thing = { __typename: 'Disk', id: 'd', title: 'Disk', size: 5, score: 3, grade: 'C', shelf: 'left' };
  const tape: Thing = { __typename: 'Tape', id: 't', title: 'Tape', reels: 2, score: 9, grade: 'A', shelf: 'right' };

  beforeAll(async () => {
    graph = await startFederation({
      subgraphs: {
        media: `
          type Query { media: [Medium!]! }
          interface Medium @key(fields: "id") { id: ID! title: String }
          type Disk implements Medium @key(fields: "id") { id: ID! title: String size: Int }
          type Tape implements Medium @key(fields: "id") { id: ID! title: String reels: Int }`,
        scores: `
          type Query { best: Medium }
          type Medium @key(fields: "id") @interfaceObject { id: ID! title: String @external score: Int grade: String @requires(fields: "title") }`,
        shelves: `
          type Query { shelved: [Medium] }
          type Medium @key(fields: "id") @interfaceObject { id: ID! shelf: String }`,
      },
      data: {
        roots: { media: [disk, tape], best: tape, shelved: [disk, null] },
        entities: [disk, tape],
        computed: { 'Medium.grade': ({ title }) => `of ${String(title)}` },
      },
    });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test('fields are added to every type of an interface by who does not know them', () =>
    graph.compare('{ media { title score grade shelf ... on Disk { size shelf } ... on Tape { score } } }'));

  test('an object whose type its subgraph does not know gets it from one that does', async () => {
    const data = await graph.compare(
      '{ best { __typename title score ... on Tape { reels } } shelved { __typename shelf } }',
    );
    expect(data).toMatchObject({ best: { __typename: 'Tape', reels: 2 } });
  });
});
