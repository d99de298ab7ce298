import { composeServices } from '@apollo/composition';
import { readFileSync } from 'node:fs';
import { parse, stripIgnoredCharacters } from 'graphql';
import { expect, test } from 'vitest';
import { FleetgraphError } from '../../../platform/errors.js';
import { planSubscription } from '../../../gateway/subscriptions/plan.js';
import { buildSupergraph } from '../../../gateway/supergraph/supergraph.js';
import { fed2 } from '../federation/federation-world.js';

const sdl = readFileSync(new URL('../../../gateway/supergraph.graphql', import.meta.url), 'utf8');
const first = buildSupergraph(sdl);
const joined = parse('subscription S($id: ID!) { deviceState(deviceId: $id) { cursor device { id name } } }');

test('the field that is subscribed to goes to the subgraph that owns it, the rest is fetched for each event', () => {
  const plan = planSubscription(joined, undefined, first);
  expect(plan.primary.serviceName).toBe('query');
  expect(plan.primary.operation).toContain('subscription');
  expect(plan.primary.variableUsages).toEqual(['id']);
  expect(JSON.stringify(plan.rest)).toContain('"serviceName":"device"');
});

test('what one subgraph has alone needs nothing else', () => {
  const plan = planSubscription(
    parse('subscription { deviceStates { cursor presence { online } device { id } } }'),
    undefined,
    first,
  );
  expect(plan.rest).toBeUndefined();
});

test('the operation that is named is planned', () => {
  const document = parse('subscription A { deviceStates { cursor } } subscription B { events { cursor } }');
  expect(planSubscription(document, 'B', first).primary.operation).toContain('events');
  expect(planSubscription(document, 'A', first).primary.operation).toContain('deviceStates');
});

test('a root field that may not be there is refused', () => {
  for (const root of [
    'deviceStates @include(if: $on) { cursor }',
    '... on Subscription @skip(if: $on) { deviceStates { cursor } }',
  ])
    expect(() => planSubscription(parse(`subscription S($on: Boolean!) { ${root} }`), undefined, first)).toThrow(
      FleetgraphError,
    );
});

test('a name that a client gives to another field is kept apart from the key that the join needs', () => {
  const part = (root: string, fields: string) =>
    parse(`${fed2} ${root} type Part @key(fields: "id") { id: ID! ${fields} }`);
  const { supergraphSdl = '' } = composeServices([
    {
      name: 'names',
      url: 'http://names',
      typeDefs: part('type Query { a: Int } type Subscription { part: Part }', 'name: String'),
    },
    { name: 'sizes', url: 'http://sizes', typeDefs: part('', 'size: Int') },
  ]);
  const apart = buildSupergraph(supergraphSdl);
  const planned = planSubscription(parse('subscription { part { id: name size } }'), undefined, apart);
  expect(planned.primary.operation).toContain('part{__typename id client_id:name}');
  expect([...planned.dataNames]).toEqual([['id', 'client_id']]);
  expect(planned.isWhole).toBe(false);
});

// Apollo Client and urql put `__typename` last, the planner first: no event had the right order.
test.each([
  ['events { cursor event { id type } __typename }', 'events{cursor event{id type}__typename}'],
  [
    'deviceStates { presence { online __typename } cursor ...Rest } } fragment Rest on DeviceStateUpdate { snapshot presence { lastSeen } ',
    'deviceStates{presence{online __typename lastSeen}cursor snapshot}',
  ],
  [
    'deviceStates { cursor ... @include(if: $on) { snapshot } presence { online } __typename }',
    'deviceStates{cursor ...@include(if:$on){snapshot}presence{online}__typename}',
  ],
])('the subgraph is asked in the order of the client: %s', (selection, expected) => {
  const variables = selection.includes('$on') ? '($on: Boolean!)' : '';
  const plan = planSubscription(parse(`subscription S${variables} { ${selection} }`), undefined, first);
  expect(plan.isWhole).toBe(true);
  expect(stripIgnoredCharacters(plan.primary.operation)).toContain(`{${expected}}`);
  expect(stripIgnoredCharacters(plan.resumption?.query ?? '')).toContain(expected.slice(expected.indexOf('{')));
});
