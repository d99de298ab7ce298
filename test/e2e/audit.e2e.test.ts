/** Who did what, when and from where: read from the graph, for mutations of each subgraph, over HTTP and WebSocket. */
import { randomUUID } from 'node:crypto';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { startPlatform, type TestPlatform } from '../world/platform.js';

let platform: TestPlatform;
beforeAll(async () => {
  platform = await startPlatform({ GATEWAY_TRUSTED_PROXIES: '127.0.0.1' });
});
afterAll(() => platform[Symbol.asyncDispose]());

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
async function mutate<Data>(query: string, correlationId: string, from: string): Promise<Data> {
  const response = await fetch(`${platform.gateway}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${await platform.token('acme')}`,
      'x-correlation-id': correlationId,
      'x-forwarded-for': `10.9.9.9, ${from}`,
    },
    body: JSON.stringify({ query }),
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
