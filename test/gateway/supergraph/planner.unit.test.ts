/** What the planner is kept from getting wrong: the plan, without anybody who executes it. */
import { composeServices } from '@apollo/composition';
import { operationFromDocument } from '@apollo/federation-internals';
import type { FetchNode, PlanNode } from '@apollo/query-planner';
import { parse, print } from 'graphql';
import { expect, test } from 'vitest';
import { buildSupergraph, type Supergraph } from '../../../gateway/supergraph/supergraph.js';
import { fed2 } from '../federation/federation-world.js';

function supergraphOf(subgraphs: Readonly<Record<string, string>>): Supergraph {
  const services = Object.entries(subgraphs).map(([name, sdl]) => ({
    name,
    url: `http://${name}.invalid`,
    typeDefs: parse(fed2 + sdl),
  }));
  const { supergraphSdl, errors } = composeServices(services);
  if (supergraphSdl === undefined) throw new Error(errors?.map(({ message }) => message).join());
  return buildSupergraph(supergraphSdl);
}

function fetchesOf({ planner, federatedApiSchema }: Supergraph, query: string): FetchNode[] {
  const { node } = planner.buildQueryPlan(operationFromDocument(federatedApiSchema, parse(query)));
  const collect = (each: PlanNode): FetchNode[] => {
    if (each.kind === 'Fetch') return [each];
    if (each.kind === 'Flatten') return collect(each.node);
    return 'nodes' in each ? each.nodes.flatMap(collect) : [];
  };
  return node && node.kind !== 'Subscription' ? collect(node) : [];
}

const metered = supergraphOf({
  registry: `
    type Query { meter: Meter }
    type Meter @key(fields: "id") { id: ID! label: String load(phase: Int = 1): Float }`,
  billing: `
    type Meter @key(fields: "id") {
      id: ID!
      load(phase: Int = 1): Float @external
      first: Float @requires(fields: "load(phase: 1)")
      second: Float @requires(fields: "load(phase: 2)")
      either(sure: Boolean): Float @requires(fields: "load(phase: 2)")
      tariff(day: Int): String
    }`,
});

test('a required field with arguments is fetched beside the one of the client, and sent under its name', () => {
  const [first, second] = fetchesOf(metered, '{ meter { load(phase: 3) second } }');
  expect(first?.operation).toContain('load(phase:3)');
  expect(first?.operation).toMatch(/(required_\d_load):load\(phase:2\)/);
  expect(second?.inputRewrites).toEqual([
    { kind: 'KeyRenamer', path: ['... on Meter', expect.stringMatching(/^required_\d_load$/)], renameKeyTo: 'load' },
  ]);
});

test('what requires one field with different arguments is fetched apart, each with the variables that it uses', () => {
  const query =
    'query ($sure: Boolean, $day: Int) { meter { first either(sure: $sure) second tariff(day: $day) label } }';
  const [, ...fetches] = fetchesOf(metered, query);
  expect(fetches.map(({ operation }) => operation)).toEqual([
    expect.stringMatching(/\(\$representations:\[_Any!\]!,?\$day:Int\).*first.*tariff/),
    expect.stringMatching(/\(\$representations:\[_Any!\]!,?\$sure:Boolean\).*either.*second/),
  ]);
  expect(fetches.map(({ variableUsages }) => variableUsages)).toEqual([['day'], ['sure']]);
  for (const { requires } of fetches) expect(JSON.stringify(requires).match(/required_\d_load/g)).toHaveLength(1);
});

test('a supergraph in which nothing is required with arguments is planned as it is', () => {
  const plain = supergraphOf({
    one: 'type Query { thing: Thing } type Thing @key(fields: "id") { id: ID! name: String }',
    two: 'type Thing @key(fields: "id") { id: ID! name: String @external loud: String @requires(fields: "name") }',
  });
  expect(fetchesOf(plain, '{ thing { loud } }').map(({ operation }) => operation)).toEqual([
    '{thing{__typename id name}}',
    'query($representations:[_Any!]!){_entities(representations:$representations){...on Thing{loud}}}',
  ]);
});

test('a subgraph is come back to by a key that it resolves, whatever key it names first', () => {
  const cells = supergraphOf({
    one: `
      type Query { cells: [Cell!]! }
      type Cell @key(fields: "rack", resolvable: false) @key(fields: "slot rack") {
        slot: ID! rack: ID! volts: Float @external state: String @requires(fields: "volts")
      }`,
    two: 'type Cell @key(fields: "slot") { slot: ID! volts: Float }',
  });
  const [, , last] = fetchesOf(cells, '{ cells { state } }');
  const [on] = last?.requires ?? [];
  const sent = on?.kind === 'InlineFragment' ? on.selections.map((each) => 'name' in each && each.name) : [];
  expect(sent).toEqual(expect.arrayContaining(['slot', 'rack', 'volts']));
});

test('what no subgraph can resolve is refused; what is left out by its conditions is not', () => {
  const ownerless = supergraphOf({
    one: 'interface Asset @key(fields: "id") { id: ID! } type Query { asset: Asset }',
    two: 'type Asset @key(fields: "id", resolvable: false) @interfaceObject { id: ID! value: Int } type Query { other: Asset }',
  });
  expect(() => fetchesOf(ownerless, '{ asset { value } }')).toThrow('No subgraph can resolve');
  for (const query of [
    '{ __typename }',
    '{ asset @skip(if: true) { value } }',
    '{ ... @include(if: false) { asset { value } } }',
  ])
    expect(fetchesOf(ownerless, query)).toEqual([]);
});

test('a name that a client gives, and that a key has, is another one in the plan', () => {
  const separated = metered.planner.separateNames(parse('{ meter { id: label load: id label } }'));
  expect([...separated.dataNames]).toEqual([['id', 'client_id']]);
  const [operation] = fetchesOf(metered, print(separated.document));
  expect(operation?.operation).toBe('{meter{client_id:label label load:id}}');
  const plain = parse('{ meter { id: id other: label label } }');
  expect(metered.planner.separateNames(plain)).toEqual({ document: plain, dataNames: new Map() });
});
