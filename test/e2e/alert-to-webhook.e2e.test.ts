/** From a reading to what its alert does: a signed webhook, and a command that the device gets. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { startPlatform, topic, type TestPlatform } from '../world/platform.js';
import { startWebhookReceiver, verify, type WebhookReceiver } from '../world/webhook-receiver.js';

let platform: TestPlatform;
let receiver: WebhookReceiver;
beforeAll(async () => {
  receiver = await startWebhookReceiver();
  platform = await startPlatform({ WEBHOOK_ALLOW_HTTP: 'true', WEBHOOK_ALLOWED_HOSTS: '127.0.0.1' });
});
afterAll(async () => {
  await platform[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

test('a reading raises an alert, which calls the webhook once and commands the device', async () => {
  const device = await platform.registerDevice();
  const client = await platform.connect(device);
  const commands: { name: string }[] = [];
  client.on('message', (_topic, payload) => commands.push(JSON.parse(payload.toString()) as { name: string }));
  await client.subscribeAsync(topic(device, 'command'), { qos: 1 });
  const { createWebhook } = await platform.data<{ createWebhook: { webhook: { id: string }; secret: string } }>(
    'mutation W($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { id } secret } }',
    { input: { url: receiver.url('/alerts'), eventTypes: [] } },
  );
  await platform.data('mutation R($input: CreateRuleInput!) { createRule(input: $input) { rule { id } } }', {
    input: {
      name: 'Too hot',
      severity: 'CRITICAL',
      condition: { when: 'temperature > 80.0' },
      actions: [{ webhook: { webhookId: createWebhook.webhook.id } }, { command: { name: 'cool' } }],
    },
  });
  await eventually(async () => {
    // A rule takes effect within a second: until then readings pass it by.
    await client.publishAsync(topic(device, 'telemetry'), JSON.stringify({ temperature: 95 }), { qos: 1 });
    expect(receiver.received('/alerts').length).toBeGreaterThan(0);
  });
  const [received] = receiver.received('/alerts');
  if (received === undefined) throw new Error('nothing was received');
  expect(verify(received, createWebhook.secret)).toMatchObject({
    type: 'io.fleetgraph.alert.raised.v1',
    subject: device.id,
    tenant: 'acme',
    data: { ruleName: 'Too hot', severity: 'CRITICAL', readings: [{ metric: 'temperature', value: 95 }] },
  });
  await eventually(() => expect(commands).toMatchObject([{ name: 'cool' }]));
  expect(receiver.received('/alerts')).toHaveLength(1);
});

test('a device is told what is left of its twin, does it, says so, and is in sync', async () => {
  const device = await platform.registerDevice();
  const desire = (desired: unknown) =>
    platform.data('mutation D($input: SetDesiredStateInput!) { setDesiredState(input: $input) { device { id } } }', {
      input: { id: device.id, desired },
    });
  await desire({ interval: 60, mode: 'eco' });
  const client = await platform.connect(device);
  const revisions: number[] = [];
  client.on('message', (_topic, payload) => {
    const { revision, delta } = JSON.parse(payload.toString()) as { revision: number; delta: unknown };
    revisions.push(revision);
    client.publish(topic(device, 'state'), JSON.stringify(delta), { qos: 1 });
  });
  await client.subscribeAsync(topic(device, 'delta'), { qos: 1 });
  const twin = async (): Promise<unknown> =>
    (
      await platform.data<{ device: { twin: unknown } }>(
        'query T($id: ID!) { device(id: $id) { twin { inSync delta reported { state } } } }',
        { id: device.id },
      )
    ).device.twin;
  const inSync = (state: unknown) => ({ inSync: true, delta: {}, reported: { state } });
  await eventually(async () => expect(await twin()).toEqual(inSync({ interval: 60, mode: 'eco' })));
  await desire({ interval: 10, mode: 'eco' });
  await eventually(async () => expect(await twin()).toEqual(inSync({ interval: 10, mode: 'eco' })));
  expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
});
