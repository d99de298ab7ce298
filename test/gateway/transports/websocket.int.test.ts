/** graphql-transport-ws frame by frame: who is let in, how an operation fails alone, how a connection ends. */
import { WebSocket } from 'ws';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually, within } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import { openSocket, type ProtocolClient } from '../protocol-client.js';

let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  await world.disconnect();
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
});

const watch = 'subscription { deviceState(deviceId: "boiler") { cursor } }';
const ended = ({ closed }: ProtocolClient, timeoutMs = 5_000) => within(closed, timeoutMs, 'closing');
const listening = (count = 1) => eventually(() => expect(world.subgraphs.live.open).toHaveLength(count));
const update = (cursor: string) => ({ cursor, snapshot: false, device: { id: 'boiler' }, presence: { online: true } });

test.each([
  ['no token', {}],
  ['not a token', { authorization: 'Bearer nonsense' }],
  ['something that is no text', { authorization: { a: 1 } }],
  [
    'a token without signature',
    { authorization: `Bearer ${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.` },
  ],
])('a connection with %s is closed with 4403 and a reason', async (_what, init) => {
  const client = await openSocket(`${world.url}/graphql`, init);
  const { code, reason } = await ended(client);
  expect(code).toBe(4403);
  expect(reason.length).toBeGreaterThan(5);
  expect(client.frames).toEqual([]);
});

test('a client may name its token "authorization", "Authorization" or "token"', async () => {
  const token = await world.issuer.token('acme');
  for (const init of [{ authorization: `Bearer ${token}` }, { Authorization: `Bearer ${token}` }, { token }]) {
    const client = await openSocket(`${world.url}/graphql`, init);
    expect(client.frames).toMatchObject([{ type: 'connection_ack' }]);
    client.socket.terminate();
  }
});

test('a connection that never says who it is ends with 4408', async () => {
  const client = await openSocket(`${world.url}/graphql`, false);
  expect((await ended(client, 9_000)).code).toBe(4408);
});

test('who subscribes before the acknowledgement is closed with 4401, who says hello twice with 4429', async () => {
  const early = await openSocket(`${world.url}/graphql`, false);
  early.subscribe('s', watch);
  expect((await ended(early)).code).toBe(4401);
  const twice = await world.socket();
  twice.send({ type: 'connection_init' });
  expect((await ended(twice)).code).toBe(4429);
});

test('what is no frame closes with 4400, an id that is in use with 4409', async () => {
  const wrong = await world.socket();
  wrong.socket.send('{"type":"dance"}');
  expect((await ended(wrong)).code).toBe(4400);
  const twice = await world.socket();
  twice.subscribe('s', watch);
  await listening();
  twice.subscribe('s', watch);
  expect((await ended(twice)).code).toBe(4409);
});

test('another subprotocol is not spoken, another path not served', async () => {
  const old = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-ws');
  const refused = new Promise<Error>((resolve) => old.once('error', resolve));
  expect((await within(refused, 5_000, 'refusing')).message).toBe('Server sent no subprotocol');
  const elsewhere = new WebSocket(`${world.url.replace('http', 'ws')}/elsewhere`, 'graphql-transport-ws');
  const failed = new Promise<Error>((resolve) => elsewhere.once('error', resolve));
  expect((await within(failed, 5_000, 'refusing')).message).toMatch(/hang up|ECONNRESET/);
});

test('pings are answered', async () => {
  const client = await world.socket();
  client.send({ type: 'ping' });
  await eventually(() => expect(client.frames).toContainEqual({ type: 'pong' }));
});

test.each([
  ['a syntax error', 'subscription {', {}],
  ['an unknown field', 'subscription { nothing { cursor } }', {}],
  ['two root fields', 'subscription { a: deviceStates { cursor } b: deviceStates { cursor } }', {}],
  ['a missing variable', 'subscription W($id: ID!) { deviceState(deviceId: $id) { cursor } }', {}],
  [
    'a root field that may not be there',
    'subscription W($on: Boolean!) { deviceStates @include(if: $on) { cursor } }',
    { on: true },
  ],
  [
    'a root field that may not be there, in a fragment',
    'subscription W($on: Boolean!) { ...F } fragment F on Subscription { deviceStates @skip(if: $on) { cursor } }',
    { on: false },
  ],
  [
    'a fragment at the root that may not be there',
    'subscription W($on: Boolean!) { ...F @skip(if: $on) } fragment F on Subscription { deviceStates { cursor } }',
    { on: false },
  ],
  ['no field of the graph', 'subscription { __typename }', {}],
  [
    'a nesting that is too deep',
    `subscription { deviceStates { device { ${'commands { edges { node { device { '.repeat(5)} id ${'} } } }'.repeat(5)} } } }`,
    {},
  ],
])('%s ends that operation with one error, and no other', async (_what, query, variables) => {
  const client = await world.socket();
  client.subscribe('good', watch);
  await listening();
  client.subscribe('bad', query, variables);
  expect((await client.error('bad'))[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
  world.subgraphs.live.push(update('still-here'));
  await client.payload('good');
  expect(client.types('bad')).toEqual(['error']);
});

test('a document of several operations needs a name, and runs the one that is named', async () => {
  const query = `subscription One { deviceStates { cursor } } subscription Two { deviceState(deviceId: "boiler") { cursor } }`;
  const client = await world.socket();
  client.subscribe('unnamed', query);
  expect((await client.error('unnamed'))[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
  client.subscribe('named', query, {}, 'Two');
  await listening();
  expect(world.subgraphs.live.open[0]?.field).toBe('deviceState');
});

test('queries and mutations run over the socket, too', async () => {
  const client = await world.socket();
  client.subscribe('q', '{ device(id: "boiler") { name presence { online } } }');
  expect(await client.payload('q')).toEqual({
    data: { device: { name: 'Boiler 1', presence: { online: true } } },
  });
  client.subscribe('m', 'mutation { updateDevice(input: { id: "boiler", name: "B" }) { device { name } } }');
  expect(await client.payload('m')).toEqual({ data: { updateDevice: { device: { name: 'B' } } } });
  await eventually(() => expect(client.types('m')).toEqual(['next', 'complete']));
});

test('a connection ends with its token: 4403, and its streams stop', async () => {
  const client = await world.socket({ lifetimeSeconds: 2 });
  client.subscribe('s', watch);
  await listening();
  expect((await ended(client)).code).toBe(4403);
  await eventually(() => expect(world.subgraphs.live.open).toEqual([]));
});

test('when the subgraph of a stream breaks off, the stream is taken up behind its last cursor, and no client notices', async () => {
  const client = await world.socket();
  client.subscribe('before', watch);
  await listening();
  world.subgraphs.live.push(update('one'));
  await client.payload('before');
  await world.subgraphs.query.stop();
  const other = 'subscription { deviceState(deviceId: "other") { cursor } }';
  try {
    // Who comes now and wants something that is not shared yet is told at once.
    client.subscribe('meanwhile', other);
    expect(await client.error('meanwhile')).toEqual([
      {
        message:
          'The stream was interrupted. Subscribe again, with "since" set to the last cursor where the field takes it.',
        extensions: { code: 'UNAVAILABLE' },
      },
    ]);
  } finally {
    await world.subgraphs.query.start();
  }
  await listening();
  expect(world.subgraphs.live.open[0]?.args).toMatchObject({ since: 'one' });
  world.subgraphs.live.push(update('two'));
  expect(await client.payload('before', 1)).toEqual({ data: { deviceState: { cursor: 'two' } } });
  expect(client.types('before')).toEqual(['next', 'next']);
});

test('a stop closes every socket with 1001, soon, also where a client does not answer', async () => {
  const own = await startGateway();
  const [client, silent] = [await own.socket(), await own.socket()];
  client.subscribe('s', watch);
  await eventually(() => expect(own.subgraphs.live.open).toHaveLength(1));
  // This one never reads the close frame, let alone answers it.
  silent.socket.pause();
  await within(own.gateway.stop(), 8_000, 'stopping');
  expect((await ended(client)).code).toBe(1001);
  expect(await own.metric('fleetgraph_gateway_subscriptions_ended_total', 'stopping')).toBe(1);
  await eventually(() => expect(own.subgraphs.live.open).toEqual([]));
  await expect(openSocket(`${own.url}/graphql`, {})).rejects.toThrow();
  await own[Symbol.asyncDispose]();
});

test('sockets and subscriptions are gauged, and both go back to zero', async () => {
  const client = await world.socket();
  client.subscribe('s', watch);
  await listening();
  expect(await world.metric('fleetgraph_gateway_websockets')).toBeGreaterThan(0);
  expect(await world.metric('fleetgraph_gateway_subscriptions')).toBe(1);
  client.socket.terminate();
  await eventually(async () => {
    expect(await world.metric('fleetgraph_gateway_websockets')).toBe(0);
    expect(await world.metric('fleetgraph_gateway_subscriptions')).toBe(0);
  });
});
