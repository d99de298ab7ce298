import { composeServices } from '@apollo/composition';
import { readFileSync } from 'node:fs';
import { parse } from 'graphql';
import { expect, test } from 'vitest';
import { FleetgraphError } from '../../../platform/errors.js';
import { createSubscriptionPlanner } from '../../../gateway/subscriptions/plan.js';
import { buildSupergraph } from '../../../gateway/supergraph/supergraph.js';
import { fed2 } from '../federation/federation-world.js';

const sdl = readFileSync(new URL('../../../gateway/supergraph.graphql', import.meta.url), 'utf8');
const first = buildSupergraph(sdl);
const second = buildSupergraph(sdl);
const joined = parse('subscription S($id: ID!) { deviceState(deviceId: $id) { cursor device { id name } } }');

test('the field that is subscribed to goes to the subgraph that owns it, the rest is fetched for each event', () => {
  const plan = createSubscriptionPlanner({ supergraph: () => first })(joined, undefined);
  expect(plan.primary.serviceName).toBe('query');
  expect(plan.primary.operation).toContain('subscription');
  expect(plan.primary.variableUsages).toEqual(['id']);
  expect(JSON.stringify(plan.rest)).toContain('"serviceName":"device"');
});

test('what one subgraph has alone needs nothing else', () => {
  const plan = createSubscriptionPlanner({ supergraph: () => first })(
    parse('subscription { deviceStates { cursor presence { online } device { id } } }'),
    undefined,
  );
  expect(plan.rest).toBeUndefined();
});

test('an operation is planned once, however it is written', () => {
  const plan = createSubscriptionPlanner({ supergraph: () => first });
  const rewritten = parse(
    '# the same\nsubscription S($id: ID!) {\n deviceState(deviceId: $id) { cursor, device { id, name } } }',
  );
  expect(plan(rewritten, undefined) === plan(joined, undefined)).toBe(true);
});

test('a new supergraph gets new plans', () => {
  let current = first;
  const plan = createSubscriptionPlanner({ supergraph: () => current });
  const before = plan(joined, undefined);
  current = second;
  const after = plan(joined, undefined);
  expect(after === before).toBe(false);
  expect(after.supergraph === second).toBe(true);
});

test('what can not be planned is planned once: the next who asks is told the same', () => {
  let plans = 0;
  const failing = {
    ...first,
    planner: {
      ...first.planner,
      buildQueryPlan(): never {
        plans += 1;
        throw new FleetgraphError('BAD_USER_INPUT', 'It takes too long to plan.');
      },
    },
  };
  let current = failing as typeof first;
  const plan = createSubscriptionPlanner({ supergraph: () => current });
  for (let asked = 0; asked < 3; asked += 1) expect(() => plan(joined, undefined)).toThrow('It takes too long');
  expect(plans).toBe(1);
  // Over another supergraph it may be otherwise.
  current = second;
  expect(plan(joined, undefined).supergraph === second).toBe(true);
});

test('plans that are not used make room', () => {
  const plan = createSubscriptionPlanner({ supergraph: () => first, maxPlans: 1 });
  const before = plan(joined, undefined);
  plan(parse('subscription { deviceStates { cursor } }'), undefined);
  expect(plan(joined, undefined) === before).toBe(false);
});

test('the operation that is named is planned', () => {
  const document = parse('subscription A { deviceStates { cursor } } subscription B { events { cursor } }');
  const plan = createSubscriptionPlanner({ supergraph: () => first });
  expect(plan(document, 'B').primary.operation).toContain('events');
  expect(plan(document, 'A').primary.operation).toContain('deviceStates');
});

test('a root field that may not be there is refused', () => {
  const plan = createSubscriptionPlanner({ supergraph: () => first });
  for (const root of [
    'deviceStates @include(if: $on) { cursor }',
    '... on Subscription @skip(if: $on) { deviceStates { cursor } }',
  ])
    expect(() => plan(parse(`subscription S($on: Boolean!) { ${root} }`), undefined)).toThrow(FleetgraphError);
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
  const planned = createSubscriptionPlanner({ supergraph: () => apart })(
    parse('subscription { part { id: name size } }'),
    undefined,
  );
  expect(planned.primary.operation).toContain('part{__typename id client_id:name}');
  expect([...planned.dataNames]).toEqual([['id', 'client_id']]);
  expect(planned.isWhole).toBe(false);
});
