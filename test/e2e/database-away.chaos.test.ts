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
import { startPlatform, type TestPlatform } from '../world/platform.js';
import { startWebhookReceiver, type WebhookReceiver } from '../world/webhook-receiver.js';
import { startAlertingLoad, webhookSettings } from './alerting-load.js';

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
  platform = await startPlatform({ DATABASE_URL: behindGate.href, ...webhookSettings });
});
afterAll(async () => {
  gate.open();
  await platform[Symbol.asyncDispose]();
  await gate[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

test('each reading that was taken has its alert, and its webhook arrives once by its id', async () => {
  const load = await startAlertingLoad({ platform, pool: database.pool, receiver, devices: 300 });
  const outage = async (ms: number): Promise<void> => {
    await load.underWay();
    gate.shut();
    await pause(ms);
    gate.open();
  };
  for (let times = 0; times < 3; times += 1) await outage(150);
  await outage(awayMs);
  await load.underWay();
  gate.goSilent();
  // Nobody says that the server is gone: it is found by answers that don't come (30 s).
  const silent = load.arrived();
  await eventually(() => expect(load.arrived()).toBeGreaterThan(silent + 5), 60_000);
  await load.settled();
}, 240_000);
