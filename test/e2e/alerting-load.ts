/**
 * Readings that raise alerts whose rule calls a webhook, sent while something is away; and what must be so in the end: each reading
 * that was taken has its alert, and its webhook has arrived, under one id.
 */
import type pg from 'pg';
import { expect } from 'vitest';
import { pause } from '../../platform/lifecycle/wait.js';
import { eventually } from '../world/eventually.js';
import type { RegisteredDevice, TestPlatform } from '../world/platform.js';
import type { WebhookReceiver } from '../world/webhook-receiver.js';

const path = '/alerts';

/** What the platform of such a test must be told of webhooks. */
export const webhookSettings = {
  WEBHOOK_TIMEOUT_MS: '2000',
  WEBHOOK_ALLOW_HTTP: 'true',
  WEBHOOK_ALLOWED_HOSTS: '127.0.0.1',
};

export interface AlertingLoad {
  /** Webhooks that have arrived. */
  arrived(): number;
  /** Resolves when more have arrived than before, so that something is under way at every stage. */
  underWay(): Promise<void>;
  /** Resolves when every device has reported and its webhook has come. @throws what is not as it must be. */
  settled(): Promise<void>;
}

/** Makes webhook, rule and devices, has one of each seen to work, and begins: ten devices a second report, each once. */
export async function startAlertingLoad(options: {
  platform: TestPlatform;
  pool: pg.Pool;
  receiver: WebhookReceiver;
  devices: number;
}): Promise<AlertingLoad> {
  const { platform, pool, receiver } = options;
  const devices = options.devices + 1;
  const arrived = (): number => receiver.received(path).length;

  /** Sends as a device does: the same reading until it is taken. */
  const report = async ({ id: deviceId }: RegisteredDevice): Promise<void> => {
    const body = JSON.stringify([{ deviceId, ts: Date.now(), values: { level: 9 } }]);
    const authorization = `Bearer ${await platform.token('acme')}`;
    await eventually(async () => {
      const response = await fetch(`${platform.bridge}/ingest/v1/telemetry`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body,
      });
      expect(response.ok, await response.text()).toBe(true);
    }, 90_000);
  };

  const { createWebhook } = await platform.data<{ createWebhook: { webhook: { id: string } } }>(
    'mutation W($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { id } } }',
    { input: { url: receiver.url(path), eventTypes: [] } },
  );
  await platform.data('mutation R($input: CreateRuleInput!) { createRule(input: $input) { rule { id } } }', {
    input: {
      name: 'High',
      condition: { when: 'level > 5' },
      actions: [{ webhook: { webhookId: createWebhook.webhook.id } }],
    },
  });
  const probe = await platform.registerDevice();
  await eventually(async () => {
    await report(probe);
    expect(arrived()).toBe(1);
  });
  const fleet = await Promise.all(Array.from({ length: options.devices }, () => platform.registerDevice()));
  // Those who have not been heard of yet would be rejected rather than wait.
  await eventually(async () => {
    expect((await pool.query('SELECT FROM orchestrator.devices')).rows).toHaveLength(devices);
  });
  const reporting = (async () => {
    const underWay: Promise<void>[] = [];
    for (const device of fleet) {
      underWay.push(report(device));
      await pause(100);
    }
    await Promise.all(underWay);
  })();

  return {
    arrived,
    async underWay() {
      const before = arrived();
      await eventually(() => expect(arrived()).toBeGreaterThan(before), 60_000);
    },
    async settled() {
      await reporting;
      const idsOf = (): ReadonlyMap<string, ReadonlySet<string>> => {
        const ids = new Map<string, Set<string>>();
        for (const { id, body } of receiver.received(path)) {
          const { subject } = JSON.parse(body) as { subject: string };
          ids.set(subject, (ids.get(subject) ?? new Set()).add(id));
        }
        return ids;
      };
      await eventually(() => expect(idsOf().size).toBe(devices), 90_000);
      await eventually(() => platform.fleetgraph.ready());
      // What came twice can be told apart.
      expect([...idsOf().values()].filter((of) => of.size !== 1)).toEqual([]);
      const { rows } = await pool.query<{ alerts: number; devices: number; deliveries: number }>(
        `SELECT count(*)::int AS alerts, count(DISTINCT device_id)::int AS devices,
           (SELECT count(*)::int FROM actions.webhook_deliveries WHERE status = 'SUCCEEDED') AS deliveries FROM actions.alerts`,
      );
      expect(rows).toEqual([{ alerts: devices, devices, deliveries: devices }]);
      expect((await pool.query('SELECT FROM dead_letters.dead_letters')).rows).toEqual([]);
    },
  };
}
