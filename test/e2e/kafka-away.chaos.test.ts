/**
 * Kafka goes away while readings come, rules fire, alerts are raised and webhooks sent: it is killed, and started again a while later.
 * No effect is lost, and a receiver that tells by `webhook-id` sees each once.
 */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { pause } from '../../platform/lifecycle/wait.js';
import { createDatabase, type TestDatabase } from '../world/database.js';
import { hasOwnKafka, startKafka, type KafkaBroker } from '../world/kafka/kafka.js';
import { startPlatform, type TestPlatform } from '../world/platform.js';
import { startWebhookReceiver, type WebhookReceiver } from '../world/webhook-receiver.js';
import { startAlertingLoad, webhookSettings } from './alerting-load.js';

const awayMs = 8_000;

describe.skipIf(!hasOwnKafka())('Kafka away', () => {
  let broker: KafkaBroker;
  let database: TestDatabase;
  let platform: TestPlatform;
  let receiver: WebhookReceiver;
  beforeAll(async () => {
    receiver = await startWebhookReceiver();
    broker = await startKafka();
    database = await createDatabase();
    await broker.ready();
    platform = await startPlatform({ DATABASE_URL: database.url, KAFKA_BROKERS: broker.address, ...webhookSettings });
  }, 120_000);
  afterAll(async () => {
    await platform[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
    await receiver[Symbol.asyncDispose]();
  });

  test('each reading that was taken has its alert, and its webhook arrives once by its id', async () => {
    const load = await startAlertingLoad({ platform, pool: database.pool, receiver, devices: 150 });
    await load.underWay();
    await broker.kill();
    await pause(awayMs);
    await broker.restart();
    await load.settled();
  }, 300_000);
});
