/** Directives of the subgraphs' own that clients write into operations. */
import { DirectiveLocation } from 'graphql';
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

// Source: https://github.com/wundergraph/cosmo/issues/3106
test('one that is for operations and for schemas is there for operations', async () => {
  await using graph = await startFederation({
    federation1: ['tanks'],
    subgraphs: {
      tanks: `
        extend schema
          @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@composeDirective"])
          @link(url: "https://specs.example/when/v1.0", import: ["@when", { name: "@hint", as: "@tip" }, "@audit"])
          @composeDirective(name: "@when") @composeDirective(name: "@tip") @composeDirective(name: "@audit")
        directive @when(f: String = "iso") on FIELD | FIELD_DEFINITION | OBJECT
        directive @tip(text: String) on QUERY | FIELD | ARGUMENT_DEFINITION
        directive @audit(by: String) on FIELD_DEFINITION
        type Query @when { level(unit: String @tip(text: "m")): Int @when(f: "short") @audit(by: "x") depth: Int }`,
      valves: 'type Query { flow: Int }',
    },
    data,
  });
  const { apiSchema, supergraphSchema } = graph.supergraph;
  expect(apiSchema.getDirective('when')?.locations).toEqual([DirectiveLocation.FIELD]);
  expect(apiSchema.getDirective('tip')?.locations).toEqual([DirectiveLocation.QUERY, DirectiveLocation.FIELD]);
  expect(apiSchema.getDirective('audit')).toBeUndefined();
  // What is for schemas alone stays there, for readers of the supergraph.
  const level = supergraphSchema.getQueryType()?.getFields()['level'];
  expect(level?.astNode?.directives?.map(({ name }) => name.value)).toContain('audit');
  await graph.compare('{ level @when(f: "short") @tip flow }');
  expect(graph.requests.find(({ subgraph }) => subgraph === 'tanks')?.query).toContain('level@when(f:"short")@tip');
});
