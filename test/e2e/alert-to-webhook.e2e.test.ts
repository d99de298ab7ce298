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
    ...{ type: 'io.fleetgraph.alert.raised.v1', subject: device.id, tenant: 'acme' },
    data: { ruleName: 'Too hot', severity: 'CRITICAL', readings: [{ metric: 'temperature', value: 95 }] },
  });
  await eventually(() => expect(commands).toMatchObject([{ name: 'cool' }]));
  expect(receiver.received('/alerts')).toHaveLength(1);
});
