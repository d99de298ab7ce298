/** Webhooks through the graph, against receivers that verify, hang, fail, redirect and flood. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '../../../../backbone/bus/topics.js';
import { encode, makeEvent } from '../../../../backbone/events/envelope.js';
import type { Alert } from '../../../../subgraphs/actions/alert/alert.js';
import {
  decide,
  evolve,
  flapLimit,
  type AlertFact,
  type AlertInput,
} from '../../../../subgraphs/actions/alert/life-cycle.js';
import { eventually } from '../../../world/eventually.js';
import { verify } from '../../../world/webhook-receiver.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from '../actions-world.js';
import {
  act,
  create,
  createMutation,
  deliveriesOf,
  deliveryFields,
  local,
  publishRegistered,
  startWebhookReceiver,
  webhookFields,
  type DeliveryView,
  type WebhookReceiver,
  type WebhookView,
} from './operations.js';

let world: ActionsWorld;
let instance: ActionsInstance;
let receiver: WebhookReceiver;
beforeAll(async () => {
  world = await createActionsWorld();
  receiver = await startWebhookReceiver();
  instance = await world.startInstance({ ...local, WEBHOOK_TIMEOUT_MS: '1000', WEBHOOK_RETRY_SECONDS: '0.05,0.05' });
});
afterAll(async () => {
  await receiver[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

let count = 0;
/** A tenant and a path of its own: other tests' webhooks get nothing of it. */
const place = () => {
  count += 1;
  return { tenant: `t${count}`, path: `/hook${count}` };
};
const settled = (id: string, tenant: string, status: string, at = 0) =>
  eventually(async () => {
    const delivery = (await deliveriesOf(instance, id, { tenant }))[at];
    expect(delivery?.status).toBe(status);
    return delivery as DeliveryView;
  });

/** What an alert goes through that fires again and again, and that somebody writes on; as events. */
function evolveAlert(of: { tenant: string; alertId: string; ruleId: string; severity: 'CRITICAL' | 'INFO' }) {
  const now = Date.now();
  const fired: AlertInput = {
    ...of,
    kind: 'fired',
    atMs: now,
    ruleName: 'Rule',
    deviceId: 'd1',
    readings: [],
    actions: [],
  };
  let alert: Alert | undefined;
  const facts: AlertFact[] = [];
  const hear = (input: AlertInput): void => {
    for (const fact of decide(alert, input)) {
      facts.push(fact);
      alert = evolve(alert, fact);
    }
  };
  hear(fired);
  hear(fired);
  if (alert) alert = { ...alert, recoveries: Array.from({ length: flapLimit }, () => now) };
  hear({ kind: 'recovered', atMs: now, cause: 'CONDITION' });
  hear({ kind: 'comment', atMs: now, by: 'ann', text: 'valve' });
  return facts.map(({ type, tenant, data }) => makeEvent({ source: '/actions', type, subject: 'd1', tenant, data }));
}

test('an event is sent once, as CloudEvents JSON, signed so that the reference implementation accepts it', async () => {
  const { tenant, path } = place();
  const { webhook, secret } = await create(instance, { url: receiver.url(path) }, { tenant });
  const id = await publishRegistered(world, { tenant, deviceId: 'd1' });
  await publishRegistered(world, { tenant, deviceId: 'd1', id });
  const delivery = await settled(webhook.id, tenant, 'SUCCEEDED');
  const [received] = receiver.received(path);
  if (received === undefined) throw new Error('nothing was received');
  expect(verify(received, secret)).toMatchObject({
    specversion: '1.0',
    id,
    type: 'io.fleetgraph.device.registered.v1',
    subject: 'd1',
    tenant,
    actor: 'tester',
    data: { deviceId: 'd1', name: 'B' },
  });
  expect(received.headers['content-type']).toContain('application/cloudevents+json');
  expect(received.id).toBe(delivery.id);
  expect(delivery).toMatchObject({ eventId: id, attempts: 1, responseStatus: 204, error: null, nextAttemptAt: null });
  expect(delivery.latencyMs).toBeGreaterThanOrEqual(0);
  // A second one behind it shows that the repetition was not queued.
  await publishRegistered(world, { tenant, deviceId: 'd1' });
  await eventually(() => expect(receiver.received(path)).toHaveLength(2));
  expect(await deliveriesOf(instance, webhook.id, { tenant })).toHaveLength(2);
});

test('only events of the tenant, of types that are asked for, and since it was created are sent', async () => {
  const { tenant, path } = place();
  await publishRegistered(world, { tenant, deviceId: 'before' });
  const { webhook } = await create(
    instance,
    { url: receiver.url(path), eventTypes: ['io.fleetgraph.device.*'] },
    { tenant },
  );
  await create(instance, { url: receiver.url('/never'), eventTypes: ['io.fleetgraph.command.*'] }, { tenant });
  await publishRegistered(world, { tenant: `${tenant}x`, deviceId: 'foreign' });
  await world.decommission('after', tenant);
  await settled(webhook.id, tenant, 'SUCCEEDED');
  await publishRegistered(world, { tenant, deviceId: 'last' });
  await eventually(() =>
    expect(receiver.received(path).map(({ body }) => (JSON.parse(body) as { subject: string }).subject)).toContain(
      'last',
    ),
  );
  const subjects = receiver.received(path).map(({ body }) => (JSON.parse(body) as { subject: string }).subject);
  expect(subjects.sort()).toEqual(['after', 'last']);
  expect(receiver.received('/never')).toEqual([]);
});

test('of alerts those are sent that are asked for by rule and severity, with all that happens to them', async () => {
  const { tenant, path } = place();
  const { webhook } = await create(
    instance,
    {
      url: receiver.url(path),
      eventTypes: ['io.fleetgraph.alert.*'],
      alerts: { ruleIds: ['hot', 'cold'], severities: ['CRITICAL'] },
    },
    { tenant },
  );
  const about = (ruleId: string, severity: 'CRITICAL' | 'INFO') =>
    evolveAlert({ tenant, alertId: `${ruleId}-${severity}`, ruleId, severity });
  const alerts = [about('cold', 'INFO'), about('other', 'CRITICAL'), about('hot', 'CRITICAL')];
  for (const events of alerts) await world.bus.publish(topics.events, events.map(encode));
  await eventually(async () =>
    expect(await deliveriesOf(instance, webhook.id, { tenant })).toHaveLength(alerts[2]?.length ?? 0),
  );
  const log = await deliveriesOf(instance, webhook.id, { tenant });
  expect(new Set(log.map(({ payload }) => (payload['data'] as { alertId: string }).alertId))).toEqual(
    new Set(['hot-CRITICAL']),
  );
  expect(log.map(({ type }) => type.split('.')[3]).sort()).toEqual(['commented', 'held', 'raised', 'repeated']);
});

test.each([
  ['an error', { status: 500 }, { responseStatus: 500, error: 'HTTP status 500' }],
  ['a redirect', { status: 302, headers: { location: '/elsewhere' } }, { responseStatus: 302 }],
  ['silence', 'hang', { responseStatus: null, error: 'no response within 1000 ms' }],
] as const)(
  '%s is tried again under the same id, and given up after the last attempt',
  async (_what, behaviour, log) => {
    const { tenant, path } = place();
    receiver.behave(path, behaviour);
    const { webhook } = await create(instance, { url: receiver.url(path) }, { tenant });
    await publishRegistered(world, { tenant });
    const delivery = await settled(webhook.id, tenant, 'FAILED');
    expect(delivery).toMatchObject({ attempts: 3, ...log });
    expect(new Set(receiver.received(path).map(({ id }) => id))).toEqual(new Set([delivery.id]));
    expect(receiver.received(path)).toHaveLength(3);
    expect(receiver.received('/elsewhere')).toEqual([]);
  },
);

test('an answer without end is cut off, and counts by its status', async () => {
  const { tenant, path } = place();
  receiver.behave(path, 'flood');
  const { webhook } = await create(instance, { url: receiver.url(path) }, { tenant });
  await publishRegistered(world, { tenant });
  expect(await settled(webhook.id, tenant, 'SUCCEEDED')).toMatchObject({ attempts: 1, responseStatus: 200 });
  // What the sockets between us had room for.
  expect(receiver.flooded()).toBeLessThan(16_000_000);
});

test('endpoints that hang do not delay those that work', async () => {
  const { tenant, path } = place();
  for (let other = 0; other < 30; other += 1) {
    receiver.behave(`${path}/dead${other}`, 'hang');
    await create(instance, { url: receiver.url(`${path}/dead${other}`) }, { tenant });
  }
  const { webhook } = await create(instance, { url: receiver.url(path) }, { tenant });
  for (let event = 0; event < 20; event += 1) await publishRegistered(world, { tenant, deviceId: `d${event}` });
  await eventually(() => expect(receiver.received(path)).toHaveLength(20));
  // 30 endpoints with 20 deliveries of a second each would take minutes one after the other; they have barely begun.
  await eventually(async () => {
    const log = await deliveriesOf(instance, webhook.id, { tenant });
    expect(log.filter(({ status }) => status !== 'SUCCEEDED')).toEqual([]);
  });
  const pending = await world.database.pool.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM actions.webhook_deliveries WHERE tenant = $1 AND status = 'PENDING'`,
    [tenant],
  );
  expect(pending.rows[0]?.count).toBeGreaterThan(300);
  await world.database.pool.query('DELETE FROM actions.webhooks WHERE tenant = $1', [tenant]);
});

test('after five failures the circuit opens: deliveries wait, until the webhook is resumed by hand', async () => {
  const { tenant, path } = place();
  receiver.behave(path, { status: 503 });
  const { webhook } = await create(instance, { url: receiver.url(path) }, { tenant });
  for (let event = 0; event < 4; event += 1) await publishRegistered(world, { tenant, deviceId: `d${event}` });
  const circuit = async () =>
    (
      await instance.data<{ webhook: WebhookView }>(
        `query W($id: ID!) { webhook(id: $id) { ${webhookFields} } }`,
        { id: webhook.id },
        { tenant },
      )
    ).webhook.circuit;
  await eventually(async () => expect(await circuit()).toBe('OPEN'));
  expect(receiver.received(path)).toHaveLength(5);
  receiver.behave(path, { status: 200 });
  const resume = `mutation R($id: ID!) { resumeWebhook(input: { id: $id }) { webhook { circuit } } }`;
  await instance.data(resume, { id: webhook.id }, { tenant });
  await eventually(async () => {
    const log = await deliveriesOf(instance, webhook.id, { tenant });
    expect(log.filter(({ status }) => status === 'PENDING')).toEqual([]);
  });
  expect(await circuit()).toBe('CLOSED');
});

test('a paused webhook gets nothing but tests; what was queued comes when it is resumed', async () => {
  const { webhook, secret } = await create(instance, { url: receiver.url('/paused') });
  expect(await act<{ webhook: WebhookView }>(instance, 'pauseWebhook', webhook.id, 'webhook { status }')).toEqual({
    webhook: { status: 'PAUSED' },
  });
  const id = await publishRegistered(world);
  await eventually(async () => expect(await deliveriesOf(instance, webhook.id)).toHaveLength(1));
  const { testWebhook } = await instance.data<{ testWebhook: { delivery: DeliveryView } }>(
    `mutation T($id: ID!) { testWebhook(id: $id) { delivery { ${deliveryFields} } } }`,
    { id: webhook.id },
  );
  expect(testWebhook.delivery).toMatchObject({ type: 'io.fleetgraph.webhook.tested.v1', status: 'SUCCEEDED' });
  expect(receiver.received('/paused').map(({ id: sent }) => sent)).toEqual([testWebhook.delivery.id]);
  await act(instance, 'resumeWebhook', webhook.id, 'webhook { status }');
  await eventually(() => expect(receiver.received('/paused')).toHaveLength(2));
  const [, received] = receiver.received('/paused');
  if (received === undefined) throw new Error('nothing was received');
  expect(verify(received, secret)).toMatchObject({ id });
  await act(instance, 'deleteWebhook', webhook.id, 'id');
});

test('a test of a dead endpoint says so, and is not tried again', async () => {
  receiver.behave('/dead', { status: 410 });
  const { webhook } = await create(instance, { url: receiver.url('/dead') });
  const { testWebhook } = await instance.data<{ testWebhook: { delivery: DeliveryView } }>(
    `mutation T($id: ID!) { testWebhook(id: $id) { delivery { ${deliveryFields} } } }`,
    { id: webhook.id },
  );
  expect(testWebhook.delivery).toMatchObject({ status: 'FAILED', attempts: 1, responseStatus: 410 });
  await act(instance, 'deleteWebhook', webhook.id, 'id');
});

test('while secrets overlap both sign, and then the new one alone', async () => {
  const { webhook, secret } = await create(instance, { url: receiver.url('/rotated') });
  const rotated = await act<{ secret: string }>(instance, 'rotateWebhookSecret', webhook.id, 'secret');
  await publishRegistered(world, { deviceId: 'during' });
  const during = await eventually(() => {
    const [first] = receiver.received('/rotated');
    if (first === undefined) throw new Error('nothing yet');
    return first;
  });
  expect(rotated.secret).not.toBe(secret);
  for (const one of [secret, rotated.secret]) expect(verify(during, one)).toMatchObject({ subject: 'during' });
  await world.database.pool.query(
    `UPDATE actions.webhooks SET previous_secret_expires_at = now() - interval '1 second' WHERE id = $1`,
    [webhook.id],
  );
  await publishRegistered(world, { deviceId: 'after' });
  await eventually(() => expect(receiver.received('/rotated')).toHaveLength(2));
  const [, after] = receiver.received('/rotated');
  if (after === undefined) throw new Error('nothing was received');
  expect(() => verify(after, secret)).toThrow();
  expect(verify(after, rotated.secret)).toMatchObject({ subject: 'after' });
  await act(instance, 'deleteWebhook', webhook.id, 'id');
});

test('a delivery that has ended is delivered again under its id; one under way is not', async () => {
  const { tenant, path } = place();
  receiver.behave(path, { status: 400 });
  const { webhook } = await create(instance, { url: receiver.url(path) }, { tenant });
  await publishRegistered(world, { tenant });
  const failed = await settled(webhook.id, tenant, 'FAILED');
  receiver.behave(path, { status: 200 });
  const redeliver = `mutation R($id: ID!) { redeliver(id: $id) { delivery { id status } } }`;
  await instance.data(redeliver, { id: failed.id }, { tenant });
  expect(await settled(webhook.id, tenant, 'SUCCEEDED')).toMatchObject({ id: failed.id, attempts: 4 });
  expect(new Set(receiver.received(path).map(({ id }) => id)).size).toBe(1);
  const foreign = await instance.graphql(redeliver, { id: failed.id }, { tenant: 'other' });
  expect(foreign.errors?.[0]?.extensions?.code).toBe('NOT_FOUND');
});

test('a repetition of createWebhook with its key returns the same webhook and secret', async () => {
  const { tenant, path } = place();
  const input = { url: receiver.url(path), idempotencyKey: 'k' };
  const [one, two] = [await create(instance, input, { tenant }), await create(instance, input, { tenant })];
  expect(two).toEqual(one);
  const kept = await world.database.pool.query<{ response: unknown }>(
    `SELECT response FROM actions.idempotency_keys WHERE tenant = $1`,
    [tenant],
  );
  expect(JSON.stringify(kept.rows)).not.toContain(one.secret);
});

test.each([
  [{ url: 'https://10.0.0.1/' }, 'input.url'],
  [{ url: 'nonsense' }, 'input.url'],
  [{ eventTypes: Array.from({ length: 51 }, () => 'io.fleetgraph.device.*') }, 'input.eventTypes'],
  [{ eventTypes: ['io.fleetgraph.device.registred.v1'] }, 'input.eventTypes[0]'],
  [{ eventTypes: ['io.fleetgraph.device.registered.v1', '.*'] }, 'input.eventTypes[1]'],
  [{ description: 'x'.repeat(501) }, 'input.description'],
  [{ alerts: { ruleIds: [''] } }, 'input.alerts.ruleIds[0]'],
  [{ idempotencyKey: '' }, 'input.idempotencyKey'],
])('bad input %j is refused, naming %s', async (bad, field) => {
  const input = { url: 'https://example.com/', eventTypes: ['io.fleetgraph.device.registered.v1'], ...bad };
  const { errors } = await instance.graphql(createMutation, { input });
  expect(errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field });
});

test('webhooks of other tenants do not exist, and the scopes are asked for', async () => {
  const { tenant, path } = place();
  const { webhook } = await create(instance, { url: receiver.url(path) }, { tenant });
  const query = `query W($id: ID!) { webhook(id: $id) { id } webhooks { edges { node { id } } } }`;
  expect(await instance.data(query, { id: webhook.id }, { tenant: 'other' })).toEqual({
    webhook: null,
    webhooks: { edges: [] },
  });
  const foreign = `mutation D($id: ID!) { deleteWebhook(input: { id: $id }) { id } }`;
  const denied = await instance.graphql(foreign, { id: webhook.id }, { tenant: 'other' });
  expect(denied.errors?.[0]?.extensions?.code).toBe('NOT_FOUND');
  const unscoped = await instance.graphql(foreign, { id: webhook.id }, { tenant, scopes: ['webhook:read'] });
  expect(unscoped.errors?.[0]?.extensions?.code).toBe('FORBIDDEN');
});

test('every mutation is in the event store, with who did it and without the secret or the path', async () => {
  const tenant = `audit-${randomUUID().slice(0, 8)}`;
  const as = { tenant, headers: { 'x-correlation-id': 'c1' } };
  const { webhook, secret } = await create(instance, { url: receiver.url('/token-in-path') }, as);
  for (const name of ['pauseWebhook', 'resumeWebhook', 'deleteWebhook'])
    await instance.data(
      `mutation A($id: ID!) { ${name}(input: { id: $id }) { consistencyToken } }`,
      { id: webhook.id },
      as,
    );
  const { rows } = await world.database.pool.query<{ type: string; actor: string; correlation_id: string }>(
    'SELECT type, actor, correlation_id, data FROM events.events WHERE tenant = $1 ORDER BY revision',
    [tenant],
  );
  expect(rows.map(({ type }) => type.split('.')[3])).toEqual(['created', 'paused', 'resumed', 'deleted']);
  expect(rows.every(({ actor, correlation_id }) => actor === 'tester' && correlation_id === 'c1')).toBe(true);
  expect(JSON.stringify(rows)).not.toMatch(new RegExp(`token-in-path|${secret.slice(6, 30).replace(/[+/]/g, '.')}`));
});

test('the queue is fair and whole across two instances', async () => {
  const { tenant, path } = place();
  const second = await world.startInstance({ ...local });
  await create(instance, { url: receiver.url(path) }, { tenant });
  const ids = await Promise.all(
    Array.from({ length: 40 }, (_, n) => publishRegistered(world, { tenant, deviceId: `d${n}` })),
  );
  await eventually(() => expect(receiver.received(path)).toHaveLength(40));
  const sent = receiver.received(path).map(({ body }) => (JSON.parse(body) as { id: string }).id);
  expect(sent.sort()).toEqual([...ids].sort());
  await second.stop();
});
