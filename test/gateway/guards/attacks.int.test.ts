/** Every attack of the corpus is refused with the limit that it meets, reaches no subgraph, and leaves the gateway as it was. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import type { Payload } from '../protocol-client.js';
import { attacks } from './attacks.js';

const good = JSON.stringify({ query: '{ fleet { devices } }' });

let world: GatewayWorld;
let authorization: string;
beforeAll(async () => {
  world = await startGateway({
    settings: {
      GATEWAY_BODY_TIMEOUT_MS: '400',
      GATEWAY_MAX_MESSAGES_PER_SECOND: '20',
      GATEWAY_INTROSPECTION: 'false',
      GATEWAY_MAX_ERRORS: '5',
    },
  });
  authorization = `Bearer ${await world.issuer.token('acme')}`;
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.subgraphs.failures.clear();
  world.subgraphs.seen.length = 0;
});

async function post(body: string, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization, ...headers },
    body,
  });
  return { status: response.status, answer: (await response.json()) as Payload };
}

test.each(attacks)('$name', async ({ body, status, says }) => {
  const refused = await post(body());
  expect(refused.answer.errors?.[0]?.message).toContain(says);
  expect(refused.status).toBe(status);
  expect(refused.answer.data ?? null).toBeNull();
  expect(refused.answer.errors?.length).toBeLessThanOrEqual(21);
  expect(JSON.stringify(refused.answer)).not.toContain('Did you mean');
  expect(world.subgraphs.seen).toEqual([]);
  expect((await post(good)).answer).toEqual({ data: { fleet: { devices: 2 } } });
});

test('nothing of it has changed a prototype', () => {
  expect(({} as Record<string, unknown>)['isAdmin']).toBeUndefined();
});

test('a value that is nearly right is told without the one that is', async () => {
  const query = 'query ($by: DeviceOrder) { devices(orderBy: $by) { edges { cursor } } }';
  const { answer } = await post(JSON.stringify({ query, variables: { by: 'NAMEE' } }));
  expect(answer.errors?.[0]?.message).toContain('NAMEE');
  expect(answer.errors?.[0]?.message).not.toContain('Did you mean');
});

test('who has no token is refused before its operation is looked at', async () => {
  const refused = await post(attacks[0]?.body() ?? '', { authorization: 'Bearer nobody' });
  expect(refused.status).toBe(401);
});

function open(): Socket {
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  return socket;
}
const head = `POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;

test('a body that comes drop by drop is given up, with a reason, and its connection with it', async () => {
  const socket = open();
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  socket.write(`${head}Authorization: ${authorization}\r\nContent-Length: 1000\r\n\r\n{"query"`);
  const drops = setInterval(() => socket.write(' '), 20);
  await once(socket, 'close');
  clearInterval(drops);
  expect(text).toMatch(/^HTTP\/1\.1 4\d\d/);
  expect(text).toContain('did not come within 400 ms');
});

test('connections that say nothing, or half of a head, keep nobody else from being served', async () => {
  const silent = Array.from({ length: 200 }, open);
  for (const [index, socket] of silent.entries()) if (index % 2 === 0) socket.write(head);
  expect((await post(good)).status).toBe(200);
  for (const socket of silent) socket.destroy();
});

test('a flood of messages ends its connection with 1008, and no other', async () => {
  const quiet = await world.socket();
  const flood = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  await once(flood, 'open');
  flood.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
  await once(flood, 'message');
  for (let count = 0; count < 1_000; count += 1) flood.send(JSON.stringify({ type: 'ping' }));
  const [code] = (await once(flood, 'close')) as [number];
  expect(code).toBe(1008);
  expect(quiet.socket.readyState).toBe(WebSocket.OPEN);
});

test('a flood of pings of the protocol itself ends, too', async () => {
  const flood = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  await once(flood, 'open');
  flood.on('error', () => undefined);
  for (let count = 0; count < 1_000; count += 1) flood.ping();
  const [code] = (await once(flood, 'close')) as [number];
  // The library may be quicker, and cuts the connection.
  expect([1006, 1008]).toContain(code);
});

test('a message that is deep in itself is no message', async () => {
  const client = await world.socket();
  client.socket.send(`{"id":"1","type":"subscribe","payload":${'['.repeat(100_000)}`);
  const { code } = await client.closed;
  expect(code).toBe(4400);
});

test('a connection that never says who it is holds nothing that is counted for a tenant', async () => {
  const unknown = Array.from(
    { length: 20 },
    () => new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws'),
  );
  await Promise.all(unknown.map((socket) => once(socket, 'open')));
  const client = await world.socket();
  expect(client.socket.readyState).toBe(WebSocket.OPEN);
  for (const socket of unknown) socket.terminate();
});

test('an answer tells of so many errors, and how many there are besides', async () => {
  world.subgraphs.devices.set('acme', []);
  const query = `{ ${Array.from({ length: 12 }, (_unused, index) => `a${index}: device(id: "x${index}") { id }`).join(' ')} }`;
  for (let index = 0; index < 12; index += 1) world.subgraphs.failures.set(`x${index}`, new Error('broken'));
  const { answer } = await post(JSON.stringify({ query }));
  await eventually(() => expect(answer.errors).toHaveLength(6));
  expect(answer.errors?.at(-1)?.message).toBe('There are 7 more errors; an answer tells of 5.');
});

test('an operation that may run tells what it costs, if it is asked', async () => {
  const query = '{ devices(first: 50) { edges { node { id presence { online } } } } }';
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
  const { answer } = await post(JSON.stringify({ query, extensions: { cost: true } }));
  expect((answer as { extensions?: unknown }).extensions).toEqual({
    cost: { estimated: 151, actual: 4, limit: 250_000 },
  });
  expect((await post(JSON.stringify({ query }))).answer).not.toHaveProperty('extensions');
});

test('a subscription is guarded as a query is', async () => {
  const client = await world.socket();
  client.subscribe(
    's',
    `subscription { fleet { ${Array.from({ length: 300 }, (_unused, index) => `a${index}: cursor`).join(' ')} } }`,
  );
  expect((await client.error('s'))[0]?.message).toContain('more than 200 aliases');
});
