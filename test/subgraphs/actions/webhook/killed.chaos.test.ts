/** Processes that send webhooks are killed: nothing is lost, and what comes twice is known by its id. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startScript, type Child } from '../../../world/child-process.js';
import { eventually } from '../../../world/eventually.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from '../actions-world.js';
import { attemptsPerEndpoint } from '../../../../subgraphs/actions/webhook/delivery/claim.js';
import { create, local, publishRegistered, startWebhookReceiver, type WebhookReceiver } from './operations.js';

let world: ActionsWorld;
let receiver: WebhookReceiver;
const children: Child[] = [];
beforeAll(async () => {
  world = await createActionsWorld();
  receiver = await startWebhookReceiver();
});
afterAll(async () => {
  for (const child of children) await child.kill();
  await receiver[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const startProcess = async (): Promise<Child> => {
  const script = new URL('../actions-process.ts', import.meta.url);
  const child = await startScript(script, [world.database.url], local);
  children.push(child);
  return child;
};

/** The instance is gone before the events come: it only takes the mutations. */
async function createWebhooksAlone(): Promise<void> {
  const instance: ActionsInstance = await world.startInstance(local);
  await create(instance, { url: receiver.url('/killed') });
  await instance.stop();
}

test('what a killed process had in hand is sent once more, under the same id, and nothing is lost', async () => {
  await createWebhooksAlone();
  const first = await startProcess();
  receiver.behave('/killed', 'hang');
  const total = 60;
  const ids = await Promise.all(
    Array.from({ length: total }, (_, n) => publishRegistered(world, { deviceId: `device-${n}` })),
  );
  await eventually(() => expect(receiver.received('/killed').length).toBeGreaterThan(0));
  await first.kill();
  const inHand = new Set(receiver.received('/killed').map(({ id }) => id));
  expect(inHand.size).toBeLessThanOrEqual(attemptsPerEndpoint);

  receiver.behave('/killed', { status: 200 });
  // The lease of an attempt outlasts its timeout; here it has passed.
  await world.database.pool.query('UPDATE actions.webhook_deliveries SET due_at = now() WHERE lease IS NOT NULL');
  await startProcess();
  await eventually(() => {
    const got = new Set(receiver.received('/killed').map(({ body }) => (JSON.parse(body) as { id: string }).id));
    expect([...got].sort()).toEqual([...ids].sort());
  }, 60_000);
  await eventually(async () => {
    const { rows } = await world.database.pool.query(
      `SELECT 1 FROM actions.webhook_deliveries WHERE status <> 'SUCCEEDED'`,
    );
    expect(rows).toEqual([]);
  });
  const received = receiver.received('/killed');
  const times = new Map<string, number>();
  for (const { id } of received) times.set(id, (times.get(id) ?? 0) + 1);
  expect(times.size).toBe(total);
  for (const [id, count] of times) expect(count, id).toBe(inHand.has(id) ? 2 : 1);
});
