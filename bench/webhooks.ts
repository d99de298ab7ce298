/** From a device's publish to the webhook that its alert sends: rule, alert, effect, delivery, all durable in between. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApiClient } from '../cli/api-client.js';
import { pause } from '../platform/lifecycle/wait.js';
import { connectFleet } from './fleet.js';
import { startPlatformProcess } from './process.js';
import { quantile, round, type Section } from './section.js';

const devices = 400;
const perSecond = 20;
/** How long the last may take. */
const settleMs = 60_000;

export async function measureWebhooks(): Promise<Section> {
  const latencies: number[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const now = Date.now();
      const text = Buffer.concat(chunks).toString();
      const sentAt = /"metric":"sentAt"[^}]*"value":(\d+)|"value":(\d+)[^}]*"metric":"sentAt"/.exec(text);
      if (sentAt !== null) latencies.push(now - Number(sentAt[1] ?? sentAt[2]));
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const direct = await postDirectly(url);

  await using platform = await startPlatformProcess({
    env: { WEBHOOK_ALLOW_HTTP: 'true', WEBHOOK_ALLOWED_HOSTS: '127.0.0.1' },
  });
  const api = createApiClient({ url: platform.gateway, token: platform.token });
  const fleet = await connectFleet(platform, devices);
  const { createWebhook } = await api.request<{ createWebhook: { webhook: { id: string } } }>(
    'mutation W($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { id } } }',
    { input: { url, eventTypes: [] } },
  );
  await api.request('mutation R($input: CreateRuleInput!) { createRule(input: $input) { rule { id } } }', {
    input: {
      name: 'Too hot',
      condition: { when: 'temperature > 80.0 && sentAt > 0.0' },
      actions: [{ webhook: { webhookId: createWebhook.webhook.id } }],
    },
  });
  // A rule takes effect within a second.
  await pause(3_000);
  for (const device of fleet) {
    const payload = JSON.stringify({ temperature: 90, sentAt: Date.now() });
    void device.client.publishAsync(device.topic, payload, { qos: 1 });
    await pause(1_000 / perSecond);
  }
  const deadline = Date.now() + settleMs;
  while (latencies.length < devices && Date.now() < deadline) await pause(50);
  await Promise.all(fleet.map(({ client }) => client.endAsync(true)));
  server.closeAllConnections();
  server.close();
  return {
    title: 'Reading to webhook received',
    method: `${devices} devices, ${perSecond} readings a second, each of which raises an alert whose rule calls one webhook; everything in one process with the embedded PostgreSQL. Latency is from before the MQTT publish until the receiver has the whole body; the reading, the alert, the effect and the delivery are durable in between. Beside it, the same receiver called directly.`,
    columns: ['way', 'received', 'p50 ms', 'p99 ms'],
    rows: [
      ['POST to the receiver, nothing in between', direct.length, ...quantiles(direct)],
      ['reading → rule → alert → webhook', latencies.length, ...quantiles(latencies)],
    ],
  };
}

const quantiles = (values: readonly number[]) => [round(quantile(values, 0.5)), round(quantile(values, 0.99))];

/** How long the receiver takes by itself. */
async function postDirectly(url: string): Promise<readonly number[]> {
  const took: number[] = [];
  for (let count = 0; count < devices; count += 1) {
    const startedAt = performance.now();
    await fetch(url, { method: 'POST', body: '{"specversion":"1.0"}' });
    took.push(performance.now() - startedAt);
  }
  return took;
}
