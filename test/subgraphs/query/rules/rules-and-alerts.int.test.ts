/** What the read side shows of rules and alerts: tests against history, and the subscription `alerts`. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../../world/eventually.js';
import { startReadSide, type ReadSide } from '../read-side.js';

let side: ReadSide;
beforeAll(async () => {
  side = await startReadSide();
});
afterAll(() => side[Symbol.asyncDispose]());

interface Test {
  readonly testRule: {
    readonly readings: number;
    readonly faults: number;
    readonly firings: readonly { readonly at: string; readonly recoveredAt: string | null }[];
  };
}
const testRule = `query ($input: TestRuleInput!) { testRule(input: $input) { readings faults firings { at recoveredAt readings { metric value } } } }`;
const minute = 60_000;

test('a rule is tested against history: when it would have fired, by time too, and when recovered', async () => {
  const deviceId = randomUUID();
  const start = Date.now() - 60 * minute;
  for (const [at, temperature] of [
    [0, 70],
    [1, 85],
    [2, 86],
    [5, 60],
    [6, 90],
    [7, 60],
  ] as const)
    await side.telemetry('acme', deviceId, { temperature }, start + at * minute);
  const input = { deviceId, from: new Date(start - minute).toISOString() };
  const condition = { when: 'temperature > 80', for: 'PT3M' };
  const { testRule: tested } = await eventually(async () => {
    const { data, errors } = await side.ask<Test>('acme', testRule, { input: { ...input, condition } });
    expect(errors).toBeUndefined();
    expect(data?.testRule.readings).toBe(6);
    return data as Test;
  });
  expect(tested.firings).toMatchObject([
    { at: new Date(start + 4 * minute).toISOString(), recoveredAt: new Date(start + 5 * minute).toISOString() },
  ]);
  const foreign = await side.ask<Test>('globex', testRule, { input: { ...input, condition } });
  expect(foreign.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND', field: 'input.deviceId' } }]);
});

test('a saved rule is tested by its id; what is wrong with a test is said with its field', async () => {
  const ruleId = randomUUID();
  await side.event('acme', 'io.fleetgraph.rule.created.v1', {
    ruleId,
    version: 1,
    name: 'Hot',
    enabled: true,
    severity: 'WARNING',
    selector: {},
    actions: [],
    condition: { when: 'temperature > 80', terms: [] },
  });
  const deviceId = randomUUID();
  await side.register('acme', deviceId);
  const input = { deviceId, from: new Date(Date.now() - minute).toISOString() };
  await eventually(async () => {
    const { data } = await side.ask<Test>('acme', testRule, { input: { ...input, ruleId } });
    expect(data?.testRule).toMatchObject({ readings: 0, firings: [] });
  });
  const refusal = async (more: object) =>
    (await side.ask<Test>('acme', testRule, { input: { ...input, ...more } })).errors?.[0]?.extensions;
  expect(await refusal({ ruleId: 'none' })).toMatchObject({ code: 'NOT_FOUND', field: 'input.ruleId' });
  const condition = { when: 'a > 1' };
  expect(await refusal({ condition, deviceId: 'none' })).toMatchObject({ code: 'NOT_FOUND', field: 'input.deviceId' });
  expect(await refusal({})).toMatchObject({ code: 'BAD_USER_INPUT', field: 'input.ruleId' });
  expect(await refusal({ condition: { when: 'a >' } })).toMatchObject({ field: 'input.condition.when' });
});

interface Update {
  readonly alerts: {
    readonly cursor: string;
    readonly snapshot: boolean;
    readonly status: string;
    readonly alert: { id: string };
  };
}
const alerts = `subscription ($since: String, $filter: AlertUpdateFilter) {
  alerts(since: $since, filter: $filter) { cursor snapshot status acknowledged count alert { id } } }`;

test('alerts are streamed: those that are active, then each change; a cursor goes on behind it', async () => {
  const deviceId = randomUUID();
  const about = () => ({ ruleId: 'rule', deviceId, at: new Date().toISOString() });
  const rule = { ruleName: 'Hot', severity: 'CRITICAL' as const, actions: [], readings: [], count: 1 };
  const [one, other] = [randomUUID(), randomUUID()];
  await side.event('acme', 'io.fleetgraph.alert.raised.v1', { ...about(), ...rule, alertId: one });
  await eventually(async () => {
    const { rows } = await side.database.pool.query('SELECT FROM projections.alerts WHERE id = $1', [one]);
    expect(rows).toHaveLength(1);
  });
  const filter = { deviceId, severity: ['CRITICAL'] };
  const first = await side.subscribe<Update>('acme', alerts, { filter });
  await eventually(() => expect(first.received).toHaveLength(1));
  await side.event('acme', 'io.fleetgraph.alert.raised.v1', { ...about(), ...rule, alertId: other });
  await side.event('acme', 'io.fleetgraph.alert.cleared.v1', { ...about(), ...rule, alertId: one, cause: 'CONDITION' });
  await eventually(() => expect(first.received).toHaveLength(3));
  const seen = first.received.map(({ alerts: { snapshot, status, alert } }) => [snapshot, status, alert.id]);
  expect(seen).toEqual([
    [true, 'ACTIVE', one],
    [false, 'ACTIVE', other],
    [false, 'CLEARED', one],
  ]);
  const again = await side.subscribe<Update>('acme', alerts, { filter, since: first.received[1]?.alerts.cursor });
  await eventually(() => expect(again.received.map(({ alerts: { alert } }) => alert.id)).toEqual([one]));
  const foreign = await side.subscribe<Update>('globex', alerts, { filter });
  expect(foreign.received).toEqual([]);
  first.stop();
  again.stop();
  foreign.stop();
});

test('alerts are followed by the types and labels of their devices, as these are when an alert changes', async () => {
  const site = randomUUID();
  const register = async (half: string): Promise<string> => {
    const deviceId = randomUUID();
    await side.event('acme', 'io.fleetgraph.device.registered.v1', {
      deviceId,
      name: 'Device',
      typeId: 'boiler',
      labels: { site, side: half },
    });
    return deviceId;
  };
  const [north, south] = [await register('north'), await register('south')];
  const raise = (deviceId: string, alertId = randomUUID()) =>
    side.event('acme', 'io.fleetgraph.alert.raised.v1', {
      ruleId: randomUUID(),
      deviceId,
      at: new Date().toISOString(),
      alertId,
      ruleName: 'Hot',
      severity: 'CRITICAL',
      actions: [],
      readings: [],
      count: 1,
    });
  const [first, second] = [randomUUID(), randomUUID()];
  await raise(north, first);
  await raise(south);
  await eventually(async () => {
    const { rows } = await side.database.pool.query('SELECT FROM projections.alerts WHERE device_id = ANY($1)', [
      [north, south],
    ]);
    expect(rows).toHaveLength(2);
  });
  const labels = [
    { key: 'site', equals: site },
    { key: 'side', in: ['north'] },
  ];
  const filter = { selector: { typeIds: ['boiler'], labels } };
  const followed = await side.subscribe<Update>('acme', alerts, { filter });
  await eventually(() => expect(followed.received.map(({ alerts: { alert } }) => alert.id)).toEqual([first]));
  await raise(south);
  await raise(randomUUID());
  await raise(north, second);
  await eventually(() => expect(followed.received.map(({ alerts: { alert } }) => alert.id)).toEqual([first, second]));
  const wrong = await side.subscribe<Update>('acme', alerts, { filter: { selector: { ids: [] } } });
  await eventually(() => expect(wrong.errors).toMatchObject([{ extensions: { field: 'filter.selector.ids' } }]));
  followed.stop();
});
