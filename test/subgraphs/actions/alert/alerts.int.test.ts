/** Alerts as rules raise them, and as people read and handle them. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '../../../../backbone/bus/topics.js';
import type { EventData } from '../../../../backbone/events/catalogue.js';
import { encode, makeEvent } from '../../../../backbone/events/envelope.js';
import { eventually } from '../../../world/eventually.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld, type As } from '../actions-world.js';

let world: ActionsWorld;
let actions: ActionsInstance;
beforeAll(async () => {
  world = await createActionsWorld();
  actions = await world.startInstance();
});
afterAll(() => world[Symbol.asyncDispose]());

interface AlertView {
  readonly id: string;
  readonly status: string;
  readonly count: number;
  readonly [field: string]: unknown;
}
const fields = `id ruleId ruleName deviceId severity status acknowledged acknowledgedBy count clearedBy clearCause
  readings { metric value at } comments { by text }`;
const list = `query ($filter: AlertFilter) { alerts(filter: $filter, first: 100) { edges { node { ${fields} } } } }`;

/** What an orchestrator says of a device. */
function speak(deviceId: string, tenant = 'acme') {
  const ruleId = randomUUID();
  let sequence = 0;
  const publish = async (event: ReturnType<typeof makeEvent>) => {
    await world.bus.publish(topics.events, [encode(event)]);
    return event;
  };
  const about = (at: number) => ({
    ruleId,
    deviceId,
    at: new Date(at).toISOString(),
    sequence: (sequence += 1),
    readings: [{ metric: 'temperature', at, value: 81.5 }],
  });
  return {
    ruleId,
    again: (event: Parameters<typeof encode>[0]) => world.bus.publish(topics.events, [encode(event)]),
    fire: (at: number, more: Partial<EventData<'io.fleetgraph.rule.fired.v1'>> = {}) =>
      publish(
        makeEvent({
          type: 'io.fleetgraph.rule.fired.v1',
          source: '/orchestrator',
          subject: deviceId,
          tenant,
          data: { ...about(at), version: 1, ruleName: 'Hot', severity: 'CRITICAL', actions: [], ...more },
        }),
      ),
    recover: (at: number) =>
      publish(
        makeEvent({
          type: 'io.fleetgraph.rule.recovered.v1',
          source: '/orchestrator',
          subject: deviceId,
          tenant,
          data: { ...about(at), cause: 'CONDITION' },
        }),
      ),
  };
}

const alertsOf = async (filter: object, as?: As): Promise<readonly AlertView[]> =>
  (await actions.data<{ alerts: { edges: readonly { node: AlertView }[] } }>(list, { filter }, as)).alerts.edges.map(
    ({ node }) => node,
  );
const until = (filter: object, expected: object) =>
  eventually(async () => {
    const alerts = await alertsOf(filter);
    expect(alerts).toMatchObject(expected);
    return alerts;
  });
const mutate = async (operation: string, input: object, as?: As) => {
  const type = `${operation[0]?.toUpperCase() ?? ''}${operation.slice(1)}Input`;
  return actions.graphql<Record<string, { alert: AlertView }>>(
    `mutation ($input: ${type}!) { ${operation}(input: $input) { alert { ${fields} } consistencyToken } }`,
    { input },
    as,
  );
};
const now = Date.now();

test('a rule that fires raises one alert with its readings; facts that come twice count once; it recovers', async () => {
  const deviceId = randomUUID();
  const rule = speak(deviceId);
  const first = await rule.fire(now);
  const [alert] = await until({ deviceId }, [
    {
      status: 'ACTIVE',
      severity: 'CRITICAL',
      ruleId: rule.ruleId,
      ruleName: 'Hot',
      acknowledged: false,
      count: 1,
      readings: [{ metric: 'temperature', value: 81.5, at: new Date(now).toISOString() }],
    },
  ]);
  await rule.fire(now + 1_000);
  await rule.again(first);
  await rule.recover(now + 2_000);
  await until({ deviceId }, [{ id: alert?.id, status: 'CLEARED', clearCause: 'CONDITION', count: 2 }]);
  const { rows } = await world.database.pool.query<{ type: string; subject: string }>(
    'SELECT type, subject FROM events.events WHERE stream = $1 ORDER BY revision',
    [`alert-${String(alert?.id)}`],
  );
  expect(rows.map(({ type }) => type.split('.')[3])).toEqual(['raised', 'repeated', 'cleared']);
  expect(rows.every(({ subject }) => subject === deviceId)).toBe(true);
});

test('people acknowledge, comment and clear; who did is named, and another is told', async () => {
  const deviceId = randomUUID();
  await speak(deviceId).fire(now);
  const [alert] = await until({ deviceId }, [{ status: 'ACTIVE' }]);
  const id = alert?.id;
  const acknowledged = await mutate('acknowledgeAlert', { id, comment: 'on my way' });
  const by = acknowledged.data?.['acknowledgeAlert']?.alert['acknowledgedBy'];
  expect(acknowledged.data?.['acknowledgeAlert']?.alert).toMatchObject({ status: 'ACTIVE', acknowledged: true });
  expect((await mutate('acknowledgeAlert', { id })).errors).toBeUndefined();
  await mutate('commentAlert', { id, text: 'the valve' });
  const cleared = await mutate('clearAlert', { id });
  expect(cleared.data?.['clearAlert']?.alert).toMatchObject({
    status: 'CLEARED',
    clearCause: 'BY_HAND',
    clearedBy: by,
    comments: [
      { by, text: 'on my way' },
      { by, text: 'the valve' },
    ],
  });
  expect((await mutate('clearAlert', { id })).errors).toBeUndefined();
  expect((await mutate('commentAlert', { id, text: ' ' })).errors?.[0]?.extensions).toMatchObject({
    code: 'BAD_USER_INPUT',
    field: 'input.text',
  });
});

test('alerts are of their tenant, and of those with the scope, alone', async () => {
  const deviceId = randomUUID();
  await speak(deviceId).fire(now);
  const [alert] = await until({ deviceId }, [{ status: 'ACTIVE' }]);
  const theirs = { tenant: 'globex' };
  expect(await alertsOf({ deviceId }, theirs)).toEqual([]);
  expect((await mutate('clearAlert', { id: alert?.id }, theirs)).errors?.[0]?.extensions?.code).toBe('NOT_FOUND');
  expect(
    (await mutate('clearAlert', { id: alert?.id }, { scopes: ['alert:read'] })).errors?.[0]?.extensions?.code,
  ).toBe('FORBIDDEN');
});

test('filters and the alerts of a device show what they say', async () => {
  const [one, other] = [randomUUID(), randomUUID()];
  const rule = speak(one);
  await rule.fire(now);
  await speak(other).fire(now, { severity: 'INFO' });
  await until({ deviceId: one }, [{ severity: 'CRITICAL' }]);
  await until({ deviceId: other }, [{ severity: 'INFO' }]);
  expect(await alertsOf({ deviceId: one, severity: ['INFO'] })).toEqual([]);
  expect(await alertsOf({ deviceId: one, acknowledged: true })).toEqual([]);
  expect(await alertsOf({ ruleId: rule.ruleId, status: 'ACTIVE', acknowledged: false })).toMatchObject([
    { deviceId: one },
  ]);
  const { _entities } = await actions.data<{
    _entities: readonly { alerts: { edges: readonly { node: AlertView }[] } }[];
  }>(
    `query ($of: [_Any!]!) { _entities(representations: $of) { ... on Device { alerts(status: ACTIVE) { edges { node { deviceId } } } } } }`,
    { of: [one, other, randomUUID()].map((id) => ({ __typename: 'Device', id })) },
  );
  expect(_entities.map(({ alerts }) => alerts.edges.map(({ node }) => node['deviceId']))).toEqual([[one], [other], []]);
});

test('alerts are selected by the types and labels of their devices', async () => {
  const site = randomUUID();
  const north = await world.register('acme', randomUUID(), { labels: { site, side: 'north' } });
  const south = await world.register('acme', randomUUID(), { labels: { site, side: 'south' } });
  for (const deviceId of [north, south]) await speak(deviceId).fire(now);
  const at = (...labels: readonly object[]) => ({ selector: { labels: [{ key: 'site', equals: site }, ...labels] } });
  await eventually(async () => expect(await alertsOf(at())).toHaveLength(2));
  expect(await alertsOf(at({ key: 'side', in: ['north'] }))).toMatchObject([{ deviceId: north }]);
  expect(await alertsOf(at({ key: 'side', notIn: ['north'] }))).toMatchObject([{ deviceId: south }]);
  expect(await alertsOf({ selector: { typeIds: ['unknown'], labels: [{ key: 'site', equals: site }] } })).toEqual([]);
  expect(await alertsOf({ ...at(), severity: ['INFO'] })).toEqual([]);
  expect(await alertsOf(at(), { tenant: 'globex' })).toEqual([]);
  const { errors } = await actions.graphql(list, { filter: { selector: { labels: [{ key: 'site' }] } } });
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field: 'filter.selector.labels[0]' } }]);
});
