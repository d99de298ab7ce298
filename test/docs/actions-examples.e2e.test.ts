/** Every operation that docs/actions.md shows, run against a platform as its text tells it, with what comes of it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { startPlatform, topic, type RegisteredDevice, type TestPlatform } from '../world/platform.js';
import { startWebhookReceiver, verify, type WebhookReceiver } from '../world/webhook-receiver.js';
import { fencedBlocks, read } from './repository.js';

const dayMs = 86_400_000;
/** By name. Times in them are those of yesterday, addresses and names are ours, and half a minute is a second. */
let examples: ReadonlyMap<string, string>;
let platform: TestPlatform;
let receiver: WebhookReceiver;
let device: RegisteredDevice;
const unused = new Set<string>();
beforeAll(async () => {
  receiver = await startWebhookReceiver();
  platform = await startPlatform({ WEBHOOK_ALLOW_HTTP: 'true', WEBHOOK_ALLOWED_HOSTS: '127.0.0.1' });
  const yesterday = new Date(Date.now() - dayMs).toISOString();
  examples = new Map(
    fencedBlocks(read('docs/actions.md'), 'graphql').map((text) => {
      const name = /^(?:query|mutation|subscription) (\w+)/.exec(text)?.[1] ?? '';
      expect(name, text).not.toBe('');
      const ours = text
        .replace(/"20\d\d-\d\d-\d\dT[\d:]+Z"/, JSON.stringify(yesterday))
        .replace('https://example.com/fleet', receiver.url('/fleet'))
        .replace('"developer"', '"tester"')
        .replace('for: "PT30S"', 'for: "PT1S"');
      return [name, ours];
    }),
  );
  for (const name of examples.keys()) unused.add(name);
});
afterAll(async () => {
  await platform[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

function example(name: string): string {
  const text = examples.get(name);
  if (text === undefined) throw new Error(`docs/actions.md has no operation ${name}.`);
  unused.delete(name);
  return text;
}
const run = (name: string, variables: Readonly<Record<string, unknown>> = {}): Promise<unknown> =>
  platform.data(example(name), variables);

test('a type defines its commands, and a device of it takes them', async () => {
  expect(await run('DefineBoiler')).toEqual({ defineDeviceType: { deviceType: { id: 'boiler', revision: 1 } } });
  device = await platform.registerDevice({ typeId: 'boiler', labels: [{ key: 'site', value: 'north' }] });
  expect(await run('Restart', { deviceId: device.id })).toMatchObject({
    sendCommand: { command: { status: 'QUEUED', attempt: 1, progress: null, retryAt: null, error: null } },
  });
});

test('a job sends to those that are selected, and says how far it is', async () => {
  // As soon as the device is known to be there, and what its type takes.
  const { sendCommands } = await eventually(async () => {
    const reply = (await run('Update')) as { sendCommands: { job: { id: string; devices: number } } };
    expect(reply.sendCommands.job.devices).toBe(1);
    return reply;
  });
  await eventually(async () =>
    expect(await run('Progress', { id: sendCommands.job.id })).toMatchObject({
      commandJob: { status: 'RUNNING', progress: { waiting: 0, queued: 1, failed: 0 } },
      commands: { edges: [] },
    }),
  );
});

test('the twin says what is left to do', async () => {
  await platform.data(
    'mutation D($input: SetDesiredStateInput!) { setDesiredState(input: $input) { device { id } } }',
    {
      input: { id: device.id, desired: { interval: 60 } },
    },
  );
  await eventually(async () =>
    expect(await run('Twin', { id: device.id })).toMatchObject({
      device: { twin: { desired: { state: { interval: 60 } }, delta: { interval: 60 }, inSync: false } },
    }),
  );
});

test('devices are selected by type and labels', async () => {
  await platform.registerDevice({ typeId: 'generic', labels: [{ key: 'site', value: 'north' }] });
  await eventually(async () =>
    expect(await run('Selected')).toMatchObject({
      devices: { totalCount: 1, edges: [{ node: { id: device.id } }] },
    }),
  );
});

test('rules are written and tried; an alert is raised, followed, acknowledged, and told to a webhook', async () => {
  const { createWebhook } = (await run('Send')) as { createWebhook: { secret: string } };
  const written = (await run('HotBoilers')) as { createRule: { rule: { revision: number } } };
  expect(written.createRule.rule.revision).toBe(1);
  expect(await run('Trouble')).toMatchObject({ createRule: { rule: {} } });
  const alarms = await platform.subscribe<{
    alerts: { status: string; alert: { id?: string; ruleName: string; readings: readonly unknown[] } };
  }>(example('Alarms'));
  const client = await platform.connect(device);
  // Until the rule has come to the orchestrator readings pass it by.
  await eventually(async () => {
    await client.publishAsync(topic(device, 'telemetry'), JSON.stringify({ temperature: 91 }), { qos: 1 });
    expect(alarms.received).not.toEqual([]);
  });
  expect(alarms.received[0]?.alerts).toMatchObject({
    status: 'ACTIVE',
    alert: { ruleName: 'Too hot', readings: [{ metric: 'temperature' }] },
  });
  const { alerts } = await platform.data<{ alerts: { edges: readonly { node: { id: string } }[] } }>(
    '{ alerts(filter: { severity: [CRITICAL] }) { edges { node { id } } } }',
  );
  expect(await run('OnMyWay', { id: alerts.edges[0]?.node.id })).toMatchObject({
    acknowledgeAlert: { alert: { acknowledgedBy: 'tester', comments: [{ by: 'tester', text: 'on my way' }] } },
  });
  const tried = (await run('Try', { device: device.id })) as { testRule: { readings: number; firings: unknown[] } };
  expect(tried.testRule.readings).toBeGreaterThan(1);
  expect(tried.testRule.firings).not.toEqual([]);
  const raised = await eventually(() => {
    const found = receiver.received('/fleet').find(({ body }) => body.includes('io.fleetgraph.alert.raised.v1'));
    if (found === undefined) throw new Error('no alert was received');
    return found;
  });
  expect(verify(raised, createWebhook.secret)).toMatchObject({ subject: device.id, data: { severity: 'CRITICAL' } });
  expect(await run('Log')).toMatchObject({ webhooks: { edges: [{ node: { status: 'ACTIVE', circuit: 'CLOSED' } }] } });
});

test('what was put aside is listed by its cause, and handled again', async () => {
  await platform.database.pool.query(
    `INSERT INTO dead_letters.dead_letters (id, consumer, topic, partition, "offset", key, value, headers, tenant, type, cause, attempts, failed_at)
     VALUES (gen_random_uuid(), 'projector', 'fleetgraph.events', 0, 0, 'device-x', '{}', '{}', 'acme',
       'io.fleetgraph.device.registered.v1', 'invalid input syntax for type json', 3, now())`,
  );
  expect(await run('Aside')).toMatchObject({
    deadLetterCauses: [{ consumer: 'projector', count: 1 }],
    deadLetters: { edges: [{ node: { attempts: 3, cause: 'invalid input syntax for type json' } }] },
  });
  expect(await run('Again')).toEqual({ replayDeadLetters: { count: 1 } });
});

test('the log says who did what', async () => {
  await eventually(async () =>
    expect(await run('WhoDidWhat')).toMatchObject({
      events: { edges: [{ node: { type: 'io.fleetgraph.webhook.created.v1', actor: 'tester' } }] },
    }),
  );
});

test('no operation of the manual is left out', () => {
  expect([...unused]).toEqual([]);
});
