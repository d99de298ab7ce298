/** Rules as clients write, change, delete and read them. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '../../../../backbone/bus/topics.js';
import { encode, makeEvent } from '../../../../backbone/events/envelope.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld, type As } from '../actions-world.js';

let world: ActionsWorld;
let actions: ActionsInstance;
beforeAll(async () => {
  world = await createActionsWorld();
  actions = await world.startInstance({ CONSISTENCY_TIMEOUT_MS: '2000' });
  const type = (typeId: string, metrics: readonly { name: string; kind: 'NUMBER' | 'STRING' }[]) =>
    encode(
      makeEvent({
        type: 'io.fleetgraph.device-type.defined.v1',
        source: '/device',
        subject: typeId,
        tenant: 'acme',
        data: { typeId, name: typeId, metrics: [...metrics], decoder: 'json' },
      }),
    );
  await world.bus.publish(topics.events, [
    type('boiler', [
      { name: 'temperature', kind: 'NUMBER' },
      { name: 'mode', kind: 'STRING' },
    ]),
    type('pump', [
      { name: 'pressure', kind: 'NUMBER' },
      { name: 'mode', kind: 'STRING' },
    ]),
  ]);
});
afterAll(() => world[Symbol.asyncDispose]());

interface RuleView {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly enabled: boolean;
  readonly severity: string;
  readonly selector: unknown;
  readonly condition: unknown;
  readonly actions: unknown;
  readonly revision: number;
}
const fields = 'id name description enabled severity selector condition actions revision';
const create = `mutation ($input: CreateRuleInput!) { createRule(input: $input) { rule { ${fields} } consistencyToken } }`;
const update = `mutation ($input: UpdateRuleInput!) { updateRule(input: $input) { rule { ${fields} } } }`;
const remove = 'mutation ($input: DeleteRuleInput!) { deleteRule(input: $input) { id } }';

const condition = { when: 'temperature > 80', clearWhen: 'temperature < 75', for: 'PT30S' };
const write = async (input: object = {}, as?: As): Promise<RuleView> => {
  const variables = { input: { name: 'Hot', selector: { typeIds: ['boiler'] }, condition, ...input } };
  return (await actions.data<{ createRule: { rule: RuleView } }>(create, variables, as)).createRule.rule;
};
const events = async (id: string) =>
  (
    await world.database.pool.query<{ type: string; data: unknown; actor: string; subject: string }>(
      'SELECT type, data, actor, subject FROM events.events WHERE stream = $1 ORDER BY revision',
      [`rule-${id}`],
    )
  ).rows;

test('a rule is written, read, changed in part and deleted; each step is an event with the whole rule', async () => {
  const device = await world.register();
  const written = await write({
    severity: 'CRITICAL',
    description: 'Too hot for too long',
    actions: [
      { command: { deviceId: device, name: 'cool', parameters: { celsius: 60 } } },
      { on: ['RAISED', 'CLEARED'], event: { name: 'hot', data: { why: 'rule' } } },
    ],
  });
  expect(written).toMatchObject({
    name: 'Hot',
    enabled: true,
    severity: 'CRITICAL',
    revision: 1,
    selector: { typeIds: ['boiler'] },
    condition: { when: 'temperature > 80', clearWhen: 'temperature < 75', forMs: 30_000, terms: [] },
    actions: [
      { on: ['RAISED'], kind: 'command', deviceId: device, name: 'cool', timeToLiveMs: 60_000 },
      { on: ['RAISED', 'CLEARED'], kind: 'event', name: 'hot' },
    ],
  });
  const { updateRule } = await actions.data<{ updateRule: { rule: RuleView } }>(update, {
    input: { id: written.id, enabled: false, description: null },
  });
  expect(updateRule.rule).toEqual({ ...written, enabled: false, description: null, revision: 2 });
  const { rule } = await actions.data<{ rule: RuleView }>(`query ($id: ID!) { rule(id: $id) { ${fields} } }`, {
    id: written.id,
  });
  expect(rule).toEqual(updateRule.rule);
  await actions.data(remove, { input: { id: written.id } });
  expect(
    (await actions.data<{ rule: unknown }>('query ($id: ID!) { rule(id: $id) { id } }', { id: written.id })).rule,
  ).toBeNull();
  const history = await events(written.id);
  expect(history.map(({ type }) => type.split('.')[3])).toEqual(['created', 'updated', 'deleted']);
  const { id: ruleId, revision: version, description: _none, ...settings } = updateRule.rule;
  expect(history[1]?.data).toEqual({ ruleId, version, ...settings });
  expect(history.every(({ subject }) => subject === ruleId)).toBe(true);
});

test('a repetition with the same key writes nothing again', async () => {
  const idempotencyKey = randomUUID();
  const first = await write({ idempotencyKey });
  expect(await write({ idempotencyKey })).toEqual(first);
  expect(await events(first.id)).toHaveLength(1);
});

test.each([
  [
    'a metric that no type declares',
    { condition: { when: 'temprature > 80' } },
    'BAD_USER_INPUT',
    'input.condition.when',
    'temprature',
  ],
  [
    'a metric that only one of its types declares',
    { selector: { typeIds: ['boiler', 'pump'] } },
    'BAD_USER_INPUT',
    'input.condition.when',
    'do not all declare',
  ],
  [
    'types that do not fit',
    { condition: { when: 'mode > 3' } },
    'BAD_USER_INPUT',
    'input.condition.when',
    'no such overload',
  ],
  [
    'a type that is not there',
    { selector: { typeIds: ['boiler', 'boat'] } },
    'NOT_FOUND',
    'input.selector.typeIds[1]',
    'boat',
  ],
  [
    'a selector that says nothing',
    { selector: { labels: [{ key: 'site' }] } },
    'BAD_USER_INPUT',
    'input.selector.labels[0]',
    'says nothing',
  ],
  ['an empty name', { name: ' ' }, 'BAD_USER_INPUT', 'input.name', '1 to 200'],
  [
    'a webhook that is not there',
    { actions: [{ webhook: { webhookId: 'none' } }] },
    'NOT_FOUND',
    'input.actions[0].webhook.webhookId',
    'none',
  ],
  [
    'a device that is not there',
    { actions: [{ command: { deviceId: 'none', name: 'x' } }] },
    'NOT_FOUND',
    'input.actions[0].command.deviceId',
    'none',
  ],
  [
    'two actions in one',
    { actions: [{ event: { name: 'x' }, webhook: { webhookId: 'w' } }] },
    'BAD_USER_INPUT',
    'input.actions[0]',
    'exactly one',
  ],
  [
    'a topic with wildcards',
    { actions: [{ publish: { topic: 'a/#' } }] },
    'BAD_USER_INPUT',
    'input.actions[0].publish.topic',
    'levels',
  ],
  [
    'a topic of fleetgraph',
    { actions: [{ publish: { topic: 'command/x' } }] },
    'BAD_USER_INPUT',
    'input.actions[0].publish.topic',
    'itself uses',
  ],
])('%s is refused with its field and reason', async (_what, input, code, field, message) => {
  const { errors } = await actions.graphql(create, {
    input: { name: 'Hot', selector: { typeIds: ['boiler'] }, condition, ...input },
  });
  expect(errors?.[0]?.extensions).toMatchObject({ code, field });
  expect(errors?.[0]?.message).toContain(message);
});

test('devices of a type that a rule’s condition does not fit can not be added to it', async () => {
  const { id } = await write();
  const { errors } = await actions.graphql(update, { input: { id, selector: { typeIds: ['pump'] } } });
  expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'input.selector' });
});

test('of two who change the same revision, one is told', async () => {
  const { id } = await write();
  await actions.data(update, { input: { id, name: 'First', ifRevision: 1 } });
  const { errors } = await actions.graphql(update, { input: { id, name: 'Second', ifRevision: 1 } });
  expect(errors?.[0]?.extensions?.code).toBe('CONFLICT');
});

test('rules are of their tenant and of those with the scope alone', async () => {
  const { id } = await write();
  const theirs = { tenant: 'globex' };
  expect(
    (await actions.data<{ rule: unknown }>('query ($id: ID!) { rule(id: $id) { id } }', { id }, theirs)).rule,
  ).toBeNull();
  expect((await actions.graphql(update, { input: { id, name: 'Mine' } }, theirs)).errors?.[0]?.extensions?.code).toBe(
    'NOT_FOUND',
  );
  expect((await actions.graphql(remove, { input: { id } }, theirs)).errors?.[0]?.extensions?.code).toBe('NOT_FOUND');
  const reader = { scopes: ['rule:read'] } as const;
  expect((await actions.graphql(remove, { input: { id } }, reader)).errors?.[0]?.extensions?.code).toBe('FORBIDDEN');
});

test('pages go through all rules, newest first', async () => {
  const as = { tenant: 'pages' };
  for (const name of ['a', 'b', 'c']) await write({ name, selector: {}, condition: { when: 'x > 1' } }, as);
  const page =
    'query ($after: String) { rules(first: 2, after: $after) { edges { node { name } } pageInfo { endCursor hasNextPage } } }';
  interface Page {
    readonly rules: {
      readonly edges: readonly { readonly node: { readonly name: string } }[];
      readonly pageInfo: { readonly endCursor: string; readonly hasNextPage: boolean };
    };
  }
  const first = (await actions.data<Page>(page, {}, as)).rules;
  const second = (await actions.data<Page>(page, { after: first.pageInfo.endCursor }, as)).rules;
  expect([...first.edges, ...second.edges].map(({ node }) => node.name)).toEqual(['c', 'b', 'a']);
  expect([first.pageInfo.hasNextPage, second.pageInfo.hasNextPage]).toEqual([true, false]);
});
