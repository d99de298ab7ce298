/** Directives of the subgraphs' own that clients write into operations. */
import { expect, test } from 'vitest';
import { startFederation } from './federation-world.js';

const composed = `
  extend schema
    @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@composeDirective"])
    @link(url: "https://specs.example/trace/v1.0", import: ["@trace"])
    @composeDirective(name: "@trace")
  enum Detail { LITTLE MUCH }`;
const data = { roots: { level: 3, flow: 7 }, entities: [] };

// Composition takes the definition of the last subgraph.
test('one that is composed is in the schema of clients, and goes to the subgraphs with what is its default somewhere', async () => {
  await using graph = await startFederation({
    federation1: ['tanks', 'valves'],
    subgraphs: {
      tanks: `${composed} directive @trace(detail: Detail!, tag: String) on FIELD type Query { level: Int }`,
      valves: `${composed} directive @trace(detail: Detail! = LITTLE, tag: String) on FIELD type Query { flow: Int }`,
    },
    data,
  });
  await graph.compare('{ level @trace flow @trace(tag: "x") }');
  const asked = Object.fromEntries(graph.requests.map(({ subgraph, query }) => [subgraph, query]));
  expect(asked).toEqual({
    tanks: '{level@trace(detail:LITTLE)}',
    valves: '{flow@trace(tag:"x" detail:LITTLE)}',
  });
  await graph.compare('query ($detail: Detail!) { level @trace(detail: $detail) }', { detail: 'MUCH' });
  expect(graph.requests[0]?.variables).toEqual({ detail: 'MUCH' });
});

test('one that all subgraphs define needs no more than that', async () => {
  const definition = 'directive @trace(tag: String = "all") on FIELD | INLINE_FRAGMENT';
  await using graph = await startFederation({
    subgraphs: {
      tanks: `${definition} type Query { level: Int }`,
      pipes: `${definition} type Query { flow: Int }`,
    },
    data,
  });
  await graph.compare('{ ... @trace { level } flow @trace(tag: null) }');
});
