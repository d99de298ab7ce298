/** What alerts do: each action of the rule once, however often the alert's event comes and whoever is killed. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '../../../../backbone/bus/topics.js';
import { encode, makeEvent, type NewEvent } from '../../../../backbone/events/envelope.js';
import type { RuleAction } from '../../../../backbone/rules/definition.js';
import { effectIdOf } from '../../../../subgraphs/actions/effect/effect-id.js';
import { startScript, type Child } from '../../../world/child-process.js';
import { eventually } from '../../../world/eventually.js';
import { verify } from '../../../world/webhook-receiver.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from '../actions-world.js';
import { act, create, local, startWebhookReceiver, type WebhookReceiver } from '../webhook/operations.js';

let world: ActionsWorld;
let instance: ActionsInstance;
let receiver: WebhookReceiver;
let webhook: { readonly id: string; readonly secret: string };
const children: Child[] = [];
beforeAll(async () => {
  world = await createActionsWorld();
  receiver = await startWebhookReceiver();
  instance = await world.startInstance(local);
  const created = await create(instance, { url: receiver.url('/alerts'), eventTypes: [] });
  webhook = { id: created.webhook.id, secret: created.secret };
});
afterAll(async () => {
  for (const child of children) await child.kill();
  await receiver[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

type Occasion = 'raised' | 'cleared' | 'acknowledged';

/** An event of an alert of the device, with these actions of its rule. */
function alert(
  deviceId: string,
  actions: readonly RuleAction[],
  occasion: Occasion = 'raised',
  id: string = randomUUID(),
) {
  const data = {
    alertId: 'alert-1',
    ruleId: 'rule-1',
    deviceId,
    at: new Date().toISOString(),
    ruleName: 'Too hot',
    severity: 'CRITICAL',
    actions,
    ...(occasion === 'acknowledged' ? {} : { readings: [], count: 1 }),
    ...(occasion === 'cleared' ? { cause: 'CONDITION' } : {}),
  };
  const event = {
    id,
    source: '/actions',
    type: `io.fleetgraph.alert.${occasion}.v1`,
    subject: deviceId,
    tenant: 'acme',
    correlationid: 'c-1',
    data,
  };
  return makeEvent(event as NewEvent);
}

const publish = (...events: ReturnType<typeof alert>[]) => world.bus.publish(topics.events, events.map(encode));

const allFour = (): readonly RuleAction[] => [
  { kind: 'webhook', on: ['RAISED'], webhookId: webhook.id },
  { kind: 'command', on: ['RAISED'], name: 'cool', parameters: { celsius: 20 }, timeToLiveMs: 60_000 },
  { kind: 'publish', on: ['RAISED'], topic: 'display', payload: { text: 'hot' } },
  { kind: 'event', on: ['RAISED'], name: 'too-hot', data: { floor: 3 } },
];

/** What is stored of the effects on a device. */
async function effectsOn(deviceId: string) {
  const { rows } = await world.database.pool.query<{
    id: string;
    type: string;
    data: Record<string, unknown>;
    actor: string;
    causation_id: string;
    correlation_id: string;
  }>(
    `SELECT id, type, data, actor, causation_id, correlation_id FROM events.events
     WHERE subject = $1 AND type <> 'io.fleetgraph.device.registered.v1' ORDER BY type, position`,
    [deviceId],
  );
  return rows;
}

test('webhook, command, message and event come once each, and name their cause, also when the event comes again', async () => {
  const deviceId = await world.register();
  const raised = alert(deviceId, allFour());
  await publish(raised, raised);
  await publish(raised);
  // Behind it in the same partition: when this has had its effect, the repetitions have been handled.
  const last = alert(deviceId, [{ kind: 'event', on: ['RAISED'], name: 'last', data: null }]);
  await publish(last);
  await eventually(async () => expect(await effectsOn(deviceId)).toHaveLength(4));
  const [command, custom, lastOne, message] = await effectsOn(deviceId);
  expect(command).toMatchObject({
    type: 'io.fleetgraph.command.requested.v1',
    actor: 'rule/rule-1',
    correlation_id: 'c-1',
    data: { name: 'cool', parameters: { celsius: 20 } },
  });
  expect(custom).toMatchObject({
    id: effectIdOf(raised.id, 3),
    actor: 'rule/rule-1',
    causation_id: raised.id,
    correlation_id: 'c-1',
    data: { name: 'too-hot', data: { floor: 3 }, alertId: 'alert-1', ruleId: 'rule-1', deviceId },
  });
  expect(lastOne).toMatchObject({ data: { name: 'last' } });
  expect(message).toMatchObject({
    id: effectIdOf(raised.id, 2),
    data: { messageId: effectIdOf(raised.id, 2), deviceId, topic: 'display', payload: { text: 'hot' } },
  });
  await eventually(() => expect(receiver.received('/alerts')).toHaveLength(1));
  const [received] = receiver.received('/alerts');
  if (received === undefined) throw new Error('nothing was received');
  expect(verify(received, webhook.secret)).toMatchObject({ id: raised.id, data: { alertId: 'alert-1' } });
});

test('an action answers to what it is for: raised, cleared or acknowledged', async () => {
  const deviceId = await world.register();
  const actions: readonly RuleAction[] = (['RAISED', 'CLEARED', 'ACKNOWLEDGED'] as const).map((on) => ({
    kind: 'event',
    on: [on],
    name: on,
    data: null,
  }));
  await publish(...(['acknowledged', 'cleared'] as const).map((occasion) => alert(deviceId, actions, occasion)));
  await eventually(async () => expect(await effectsOn(deviceId)).toHaveLength(2));
  expect((await effectsOn(deviceId)).map(({ data }) => data['name']).sort()).toEqual(['ACKNOWLEDGED', 'CLEARED']);
});

test('what can never be done is told once, and keeps the other actions from nothing', async () => {
  const deviceId = await world.register();
  const gone = await create(instance, { url: receiver.url('/gone'), eventTypes: [] });
  await act(instance, 'deleteWebhook', gone.webhook.id, 'id');
  const raised = alert(deviceId, [
    { kind: 'webhook', on: ['RAISED'], webhookId: gone.webhook.id },
    { kind: 'command', on: ['RAISED'], deviceId: 'nobody', name: 'cool', parameters: {}, timeToLiveMs: 60_000 },
    { kind: 'event', on: ['RAISED'], name: 'still', data: null },
  ]);
  await publish(raised, raised);
  await eventually(async () => expect(await effectsOn(deviceId)).toHaveLength(3));
  const rows = await effectsOn(deviceId);
  expect(rows.map(({ type }) => type.split('.').slice(2, 4).join('.'))).toEqual([
    'alert.action-failed',
    'alert.action-failed',
    'custom.raised',
  ]);
  expect(
    rows
      .map(({ data }) => data['kind'])
      .slice(0, 2)
      .sort(),
  ).toEqual(['command', 'webhook']);
  expect(JSON.stringify(rows)).toContain(gone.webhook.id);
});

test('a process that is killed between an alert and its effects loses none and repeats none', async () => {
  await instance.stop();
  const deviceIds = await Promise.all(Array.from({ length: 30 }, () => world.register()));
  const before = receiver.received('/alerts').length;
  const startProcess = async () => {
    const child = await startScript(new URL('../actions-process.ts', import.meta.url), [world.database.url], local);
    children.push(child);
    return child;
  };
  const first = await startProcess();
  const count = async (type: string) => {
    const { rows } = await world.database.pool.query<{ subject: string }>(
      'SELECT subject FROM events.events WHERE type = $1 AND subject = ANY($2) ORDER BY subject',
      [type, deviceIds],
    );
    return rows.map(({ subject }) => subject);
  };
  await publish(...deviceIds.map((deviceId) => alert(deviceId, allFour())));
  await eventually(async () => expect((await count('io.fleetgraph.message.requested.v1')).length).toBeGreaterThan(0));
  await first.kill();
  await world.database.pool.query('UPDATE actions.webhook_deliveries SET due_at = now() WHERE lease IS NOT NULL');
  await startProcess();
  const each = [...deviceIds].sort();
  for (const type of ['command.requested', 'message.requested', 'custom.raised'])
    await eventually(async () => expect(await count(`io.fleetgraph.${type}.v1`)).toEqual(each), 60_000);
  await eventually(() => {
    const got = receiver.received('/alerts').slice(before);
    const subjects = new Set(got.map(({ body }) => (JSON.parse(body) as { subject: string }).subject));
    expect([...subjects].sort()).toEqual(each);
    // One that was in hand at the kill may come twice, under its id.
    expect(new Set(got.map(({ id }) => id)).size).toBe(each.length);
  }, 30_000);
});
