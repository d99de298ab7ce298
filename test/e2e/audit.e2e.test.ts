/** Who did what, when and from where: read from the graph, for mutations of each subgraph, over HTTP and WebSocket. */
import { randomUUID } from 'node:crypto';
import { buildSchema } from 'graphql';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { read } from '../docs/repository.js';
import { startPlatform, topic, type TestPlatform } from '../world/platform.js';
import { startWebhookReceiver, type WebhookReceiver } from '../world/webhook-receiver.js';

let platform: TestPlatform;
let receiver: WebhookReceiver;
beforeAll(async () => {
  receiver = await startWebhookReceiver();
  platform = await startPlatform({
    GATEWAY_TRUSTED_PROXIES: '127.0.0.1',
    WEBHOOK_ALLOW_HTTP: 'true',
    WEBHOOK_ALLOWED_HOSTS: '127.0.0.1',
  });
});
afterAll(async () => {
  await platform[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

interface Logged {
  readonly id: string;
  readonly type: string;
  readonly actor: string | null;
  readonly clientAddress: string | null;
  readonly correlationId: string | null;
}

const eventsOf = async (filter: object): Promise<readonly Logged[]> => {
  type Data = { events: { edges: { node: Logged }[] } };
  const query = `query E($filter: EventFilter) { events(first: 100, filter: $filter) {
    edges { node { id type actor clientAddress correlationId } } } }`;
  return (await platform.data<Data>(query, { filter })).events.edges.map(({ node }) => node);
};

/** A mutation as a client behind our proxy sends it. */
async function mutate<Data>(query: string, correlationId: string, from: string, variables = {}): Promise<Data> {
  const response = await fetch(`${platform.gateway}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${await platform.token('acme')}`,
      'x-correlation-id': correlationId,
      'x-forwarded-for': `10.9.9.9, ${from}`,
    },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await response.json()) as { data: Data; errors?: unknown };
  expect(errors).toBeUndefined();
  return data;
}

test('the log says who did what and from where, and is filtered by actor, correlation, type and time', async () => {
  const correlationId = randomUUID();
  const from = '203.0.113.7';
  const { registerDevice } = await mutate<{ registerDevice: { device: { id: string } } }>(
    `mutation { registerDevice(input: { name: "Boiler", typeId: "generic" }) { device { id } } }`,
    correlationId,
    from,
  );
  await mutate(
    `mutation { sendCommand(input: { deviceId: "${registerDevice.device.id}", name: "cool" }) { command { id } } }`,
    correlationId,
    from,
  );
  const { createWebhook } = await mutate<{ createWebhook: { webhook: { id: string } } }>(
    `mutation { createWebhook(input: { url: "https://example.com/", eventTypes: ["io.fleetgraph.alert.*"] }) { webhook { id } } }`,
    correlationId,
    from,
  );
  await mutate(
    `mutation { pauseWebhook(input: { id: "${createWebhook.webhook.id}" }) { webhook { id } } }`,
    'other',
    from,
  );
  await mutate(`mutation { discardDeadLetters(input: { filter: { cause: "none" } }) { count } }`, correlationId, from);
  const types = [
    'io.fleetgraph.command.requested.v1',
    'io.fleetgraph.dead-letters.discarded.v1',
    'io.fleetgraph.device.registered.v1',
    'io.fleetgraph.webhook.created.v1',
  ];
  const mine = await eventually(async () => {
    const found = (await eventsOf({ correlationId })).filter(({ actor }) => actor !== null);
    expect(
      found
        .map(({ type }) => type)
        .filter((type) => types.includes(type))
        .sort(),
    ).toEqual(types);
    return found;
  });
  for (const { actor, clientAddress } of mine)
    expect({ actor, clientAddress }).toEqual({ actor: 'tester', clientAddress: from });
  expect(await eventsOf({ actor: 'nobody' })).toEqual([]);
  expect(await eventsOf({ actor: 'tester', types: ['io.fleetgraph.webhook.paused.v1'] })).toHaveLength(1);
  expect(await eventsOf({ correlationId, to: '2020-01-01T00:00:00Z' })).toEqual([]);
});

test('over a WebSocket, too', async () => {
  const client = createClient({
    url: `${platform.gateway.replace(/^http/, 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${await platform.token('acme')}` },
    retryAttempts: 0,
  });
  const name = `socket-${randomUUID()}`;
  await new Promise<void>((resolve, reject) => {
    client.subscribe(
      {
        query: `mutation { defineDeviceType(input: { id: "${name}", name: "T", metrics: [] }) { deviceType { id } } }`,
      },
      {
        next: ({ errors }) => (errors ? reject(new Error(JSON.stringify(errors))) : undefined),
        error: reject,
        complete: resolve,
      },
    );
  });
  await client.dispose();
  await eventually(async () => {
    const [defined] = await eventsOf({ subject: name });
    expect(defined).toMatchObject({ actor: 'tester', clientAddress: '127.0.0.1' });
  });
});

test('every mutation that the graph has is in the log, with who asked and in which request', async () => {
  const fields = buildSchema(read('gateway/schema/api.graphql')).getMutationType()?.getFields() ?? {};
  const waiting = new Set(Object.keys(fields));
  const run = async (field: string, input: object, selection = '__typename'): Promise<Record<string, never>> => {
    const correlationId = randomUUID();
    // Some take one input, some the id alone.
    const all: Readonly<Record<string, unknown>> = { ...input, input };
    const args = (fields[field]?.args ?? []).filter(({ name }) => all[name] !== undefined);
    const declared = args.map(({ name, type }) => `$${name}: ${String(type)}`).join(', ');
    const passed = args.map(({ name }) => `${name}: $${name}`).join(', ');
    const data = await mutate<Record<string, Record<string, never>>>(
      `mutation M(${declared}) { ${field}(${passed}) { ${selection} } }`,
      correlationId,
      '203.0.113.7',
      Object.fromEntries(args.map(({ name }) => [name, all[name]])),
    );
    await eventually(async () => {
      const found = (await eventsOf({ correlationId })).filter(({ actor }) => actor === 'tester');
      expect(found.length, `${field} left no event`).toBeGreaterThan(0);
    });
    waiting.delete(field);
    return data[field] ?? {};
  };
  const idIn = (of: unknown): string => /"id":"([^"]+)"/.exec(JSON.stringify(of))?.[1] ?? 'none';
  const typeId = `audited-${randomUUID()}`;
  await run('defineDeviceType', { id: typeId, name: 'T', metrics: [] });
  const device = await platform.registerDevice();
  const id = idIn(await run('registerDevice', { name: 'Boiler', typeId }, 'device { id }'));
  await run('registerDevices', { devices: [{ name: 'Kettle', typeId }] });
  await run('updateDevice', { id, name: 'Boiler 2' });
  await run('setDesiredState', { id, desired: { interval: 60 } });
  await run('rotateDeviceCredentials', { id });
  await run('cancelCommand', { id: idIn(await run('sendCommand', { deviceId: id, name: 'cool' }, 'command { id }')) });
  const job = { selector: { ids: [id] }, name: 'cool', maxOpen: 1 };
  await run('cancelCommandJob', { id: idIn(await run('sendCommands', job, 'job { id }')) });
  await run('replayDeadLetters', { filter: { cause: 'none' } });
  await run('discardDeadLetters', { filter: { cause: 'none' } });
  const hook = { url: receiver.url('/audited'), eventTypes: [] };
  const webhook = { id: idIn(await run('createWebhook', hook, 'webhook { id }')) };
  await run('updateWebhook', { ...webhook, description: 'audited' });
  await run('pauseWebhook', webhook);
  await run('resumeWebhook', webhook);
  await run('rotateWebhookSecret', webhook);
  await run('redeliver', { id: idIn(await run('testWebhook', webhook, 'delivery { id }')) });
  await run('deleteWebhook', webhook);
  const condition = { when: 'temperature > 80.0' };
  const rule = { id: idIn(await run('createRule', { name: 'Hot', condition }, 'rule { id }')) };
  await run('updateRule', { ...rule, description: 'audited' });
  const client = await platform.connect(device);
  const alert = await eventually(async () => {
    await client.publishAsync(topic(device, 'telemetry'), '{"temperature": 95}', { qos: 1 });
    const found = idIn(await platform.data('{ alerts(first: 1) { edges { node { id } } } }', {}));
    expect(found).not.toBe('none');
    return { id: found };
  });
  await run('acknowledgeAlert', alert);
  await run('commentAlert', { ...alert, text: 'on my way' });
  await run('clearAlert', alert);
  await run('deleteRule', rule);
  await run('decommissionDevice', { id });
  expect([...waiting], 'mutations without a case here').toEqual([]);
});
