/** Progressive `@override`: the subgraph that is asked depends on which labels are on. */
import fc from 'fast-check';
import { operationFromDocument } from '@apollo/federation-internals';
import { parse, type OperationDefinitionNode } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFederation, type Federation } from './federation-world.js';
import type { Thing } from './graph-data.js';
import { randomOperation } from './random-operation.js';

type Required = Readonly<Record<string, unknown>>;

const labels = ['percent(5)', 'meters', 'prices', 'owners', 'ids'];
const meter: Thing = { __typename: 'Meter', serial: 's', unit: 'kWh' };
const pump: Thing = { __typename: 'Pump', id: 'p', hours: 3, price: 5, tax: 1, meter, owner: 'ann', tag: 't' };
const fan: Thing = { __typename: 'Fan', id: 'f', hours: 7, price: 9 };
Object.assign(pump, { note: 't!', next: fan });

/** All labels that are on and off in one graph of 3 subgraphs. */
const subgraphs = {
  old: `
    type Query { pump: Pump machines: [Machine] version: Int }
    type Mutation { start: Pump stop: Int }
    interface Machine { id: ID! hours: Int }
    type Pump implements Machine @key(fields: "id") { id: ID! hours: Int price: Int meter: Meter @shareable owner: String tag: String next: Fan }
    type Fan implements Machine @key(fields: "id") { id: ID! hours: Int price: Int }
    type Meter @shareable { serial: String unit: String }`,
  new: `
    type Query { version: Int @override(from: "old", label: "percent(5)") }
    type Mutation { stop: Int @override(from: "old", label: "percent(5)") }
    type Pump @key(fields: "id") {
      id: ID!
      hours: Int @override(from: "old", label: "percent(5)")
      price: Int @override(from: "old", label: "prices")
      owner: String @override(from: "old", label: "owners")
      meter: Meter @override(from: "old", label: "meters")
    }
    type Fan @key(fields: "id") { id: ID! price: Int @override(from: "old", label: "prices") }
    type Meter @shareable { serial: String unit: String }`,
  taxes: `
    type Pump @key(fields: "id") { id: ID! tag: String @external tax: Int note: String @requires(fields: "tag") }`,
};
const data = {
  roots: { pump, machines: [pump, fan], version: 3, start: pump, stop: 1 },
  entities: [pump, fan],
  computed: { 'Pump.note': ({ tag }: Required) => `${String(tag)}!` },
};

describe('a field with a labelled @override', () => {
  let graph: Federation;
  const asked = (): string[] => graph.requests.map(({ subgraph }) => subgraph);
  beforeAll(async () => {
    graph = await startFederation({ subgraphs, data });
  });
  afterAll(() => graph[Symbol.asyncDispose]());

  test.each([
    ['{ version }', 'percent(5)', ['old'], ['new']],
    ['mutation { stop }', 'percent(5)', ['old'], ['new']],
    ['{ pump { hours } }', 'percent(5)', ['old'], ['old', 'new']],
    ['{ pump { price } }', 'prices', ['old'], ['old', 'new']],
    ['{ machines { hours } }', 'percent(5)', ['old'], ['old', 'new']],
    ['{ pump { meter { serial unit } } }', 'meters', ['old'], ['old', 'new']],
  ])('%s is asked of the new subgraph while %s is on', async (query, label, off, on) => {
    graph.override([]);
    await graph.compare(query);
    expect(asked()).toEqual(off);
    graph.override([label]);
    await graph.compare(query);
    expect(asked()).toEqual(on);
    graph.override(labels.filter((each) => each !== label));
    await graph.compare(query);
    expect(asked()).toEqual(off);
  });

  test('any query is answered as the monolith answers it, whatever labels are on', () =>
    fc.assert(
      fc.asyncProperty(
        randomOperation(graph.supergraph.apiSchema, {}),
        fc.subarray(labels),
        async ({ query, variables }, on) => {
          graph.override(on);
          await graph.compare(query, variables);
        },
      ),
      { numRuns: 30, endOnFailure: true },
    ));

  test('no plan depends on a label that is not found for its operation', () =>
    fc.assert(
      fc.property(randomOperation(graph.supergraph.apiSchema, {}), fc.subarray(labels), ({ query }, on) => {
        const { planner, federatedApiSchema, overrideLabels } = graph.supergraph;
        const document = parse(query);
        const found = overrideLabels?.(document, document.definitions[0] as OperationDefinitionNode) ?? [];
        const plan = (overrides: readonly string[]): string =>
          JSON.stringify(planner.buildQueryPlan(operationFromDocument(federatedApiSchema, document), overrides));
        expect(plan(on.filter((label) => found.includes(label)))).toBe(plan(on));
      }),
      { numRuns: 60, endOnFailure: true },
    ));

  test.each([
    ['{ pump { id tag } }', []],
    ['{ pump { owner } version }', ['owners', 'percent(5)']],
    ['{ pump { note tax } }', []],
    ['{ machines { __typename id } }', []],
    ['{ machines { hours } }', ['percent(5)']],
    ['query A { ...F } fragment F on Query { pump { ... on Pump { price } } }', ['prices']],
    ['mutation { stop start { id } }', ['percent(5)']],
  ])('%s depends on %j', (query, expected) => {
    const document = parse(query);
    expect(graph.supergraph.overrideLabels?.(document, document.definitions[0] as OperationDefinitionNode)).toEqual(
      expected,
    );
  });
});

test('a value type of two subgraphs is asked of the one that resolves its field now', async () => {
  await using graph = await startFederation({
    subgraphs: {
      old: 'type Query { size: Size @shareable } type Size @shareable { width: Int height: Int }',
      new: 'type Query { size: Size @shareable } type Size { width: Int @override(from: "old", label: "w") height: Int @shareable }',
    },
    data: { roots: { size: { __typename: 'Size', width: 1, height: 2 } }, entities: [] },
  });
  for (const on of [[], ['w']]) {
    graph.override(on);
    await graph.compare('{ size { width } }');
    await graph.compare('{ size { width height } }');
    expect(graph.requests.map(({ subgraph }) => subgraph)).toEqual([on.length === 0 ? 'old' : 'new']);
  }
});

test('a chain of requirements leaves a field to the subgraph that resolves it now', async () => {
  const tank: Thing = { __typename: 'Tank', id: 't', depth: 2, area: 3, volume: 6, weight: 60, color: 'red' };
  await using graph = await startFederation({
    subgraphs: {
      old: `
        type Query { tank: Tank }
        type Tank @key(fields: "id") { id: ID! depth: Int area: Int @external color: String volume: Int @requires(fields: "area") }`,
      areas: 'type Tank @key(fields: "id") { id: ID! area: Int }',
      weights: 'type Tank @key(fields: "id") { id: ID! volume: Int @external weight: Int @requires(fields: "volume") }',
      new: 'type Tank @key(fields: "id") { id: ID! color: String @override(from: "old", label: "colors") }',
    },
    data: {
      roots: { tank },
      entities: [tank],
      computed: {
        'Tank.volume': ({ depth, area }: Required) => Number(depth) * Number(area),
        'Tank.weight': ({ volume }: Required) => Number(volume) * 10,
      },
    },
  });
  for (const on of [[], ['colors']]) {
    graph.override(on);
    await graph.compare('{ tank { weight volume color depth } }');
  }
  await graph.compareAny();
});
