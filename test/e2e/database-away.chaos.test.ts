/**
 * PostgreSQL goes away while readings come, rules fire, alerts are raised and webhooks sent: cut off a few times for a moment, once for
 * longer than anything is leased for (members of a group 6 s, an attempt of a webhook its time-out and 10 s), once without a word:
 * connections stay, and nothing comes on them.
 * No effect is lost, and a receiver that tells by `webhook-id` sees each once.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pause } from '../../platform/lifecycle/wait.js';
import { startTcpGate, type TcpGate } from '../world/cluster/tcp-gate.js';
import { createDatabase, type TestDatabase } from '../world/database.js';
import { eventually } from '../world/eventually.js';
import { startPlatform, type RegisteredDevice, type TestPlatform } from '../world/platform.js';
import { startWebhookReceiver, type WebhookReceiver } from '../world/webhook-receiver.js';

const devices = 300;
const awayMs = 20_000;
let database: TestDatabase;
let gate: TcpGate;
let platform: TestPlatform;
let receiver: WebhookReceiver;
beforeAll(async () => {
  receiver = await startWebhookReceiver();
  database = await createDatabase();
  const { hostname, port } = new URL(database.url);
  gate = await startTcpGate({ host: hostname, port: Number(port) });
  const behindGate = new URL(database.url);
  behindGate.host = `127.0.0.1:${gate.port}`;
  platform = await startPlatform({
    ...{ DATABASE_URL: behindGate.href, WEBHOOK_TIMEOUT_MS: '2000' },
    ...{ WEBHOOK_ALLOW_HTTP: 'true', WEBHOOK_ALLOWED_HOSTS: '127.0.0.1' },
  });
});
afterAll(async () => {
  gate.open();
  await platform[Symbol.asyncDispose]();
  await gate[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

const register = async (count: number): Promise<readonly RegisteredDevice[]> =>
  Promise.all(Array.from({ length: count }, () => platform.registerDevice()));

/** Sends as a device does: the same reading until it is taken. */
async function report(deviceId: string, level: number): Promise<void> {
  const body = JSON.stringify([{ deviceId, ts: Date.now(), values: { level } }]);
  const authorization = `Bearer ${await platform.token('acme')}`;
  await eventually(async () => {
    const response = await fetch(`${platform.bridge}/ingest/v1/telemetry`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body,
    });
    expect(response.ok, await response.text()).toBe(true);
  }, 90_000);
}

test('each reading that was taken has its alert, and its webhook arrives once by its id', async () => {
  const { createWebhook } = await platform.data<{ createWebhook: { webhook: { id: string } } }>(
    'mutation W($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { id } } }',
    { input: { url: receiver.url('/alerts'), eventTypes: [] } },
  );
  await platform.data('mutation R($input: CreateRuleInput!) { createRule(input: $input) { rule { id } } }', {
    input: {
      ...{ name: 'High', condition: { when: 'level > 5' } },
      actions: [{ webhook: { webhookId: createWebhook.webhook.id } }],
    },
  });
  const [probe] = await register(1);
  await eventually(async () => {
    await report(probe?.id ?? '', 9);
    expect(receiver.received('/alerts')).toHaveLength(1);
  });
  const fleet = await register(devices);
  // Those who have not been heard of yet would be rejected rather than wait.
  await eventually(async () => {
    const { rows } = await database.pool.query('SELECT FROM orchestrator.devices');
    expect(rows).toHaveLength(devices + 1);
  });

  const reporting = (async () => {
    const underWay: Promise<void>[] = [];
    for (const { id } of fleet) {
      underWay.push(report(id, 9));
      await pause(100);
    }
    await Promise.all(underWay);
  })();
  const arrived = () => receiver.received('/alerts').length;
  const outage = async (ms: number): Promise<void> => {
    // Something is under way at every stage.
    const before = arrived();
    await eventually(() => expect(arrived()).toBeGreaterThan(before));
    gate.shut();
    await pause(ms);
    gate.open();
  };
  for (let times = 0; times < 3; times += 1) await outage(150);
  await outage(awayMs);
  const before = arrived();
  await eventually(() => expect(arrived()).toBeGreaterThan(before));
  gate.goSilent();
  // Nobody says that the server is gone: it is found by answers that don't come (30 s).
  const silent = arrived();
  await eventually(() => expect(arrived()).toBeGreaterThan(silent + 5), 60_000);
  await reporting;

  await eventually(() => {
    const seen = new Set(
      receiver.received('/alerts').map(({ body }) => (JSON.parse(body) as { subject: string }).subject),
    );
    expect(seen.size).toBe(devices + 1);
  }, 90_000);
  await eventually(() => platform.fleetgraph.ready());
  // One id for each device: what came twice can be told apart.
  const ids = new Map<string, Set<string>>();
  for (const { id, body } of receiver.received('/alerts')) {
    const { subject } = JSON.parse(body) as { subject: string };
    ids.set(subject, (ids.get(subject) ?? new Set()).add(id));
  }
  expect([...ids.values()].filter((of) => of.size !== 1)).toEqual([]);
  const { rows } = await database.pool.query<{ alerts: number; devices: number; deliveries: number }>(
    `SELECT count(*)::int AS alerts, count(DISTINCT device_id)::int AS devices,
       (SELECT count(*)::int FROM actions.webhook_deliveries WHERE status = 'SUCCEEDED') AS deliveries FROM actions.alerts`,
  );
  expect(rows).toEqual([{ alerts: devices + 1, devices: devices + 1, deliveries: devices + 1 }]);
  expect((await database.pool.query('SELECT FROM dead_letters.dead_letters')).rows).toEqual([]);
}, 240_000);
