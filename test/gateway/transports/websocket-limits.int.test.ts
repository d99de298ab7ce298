import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { parse } from 'graphql';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { answerOf } from '../../../gateway/execution/response/answer.js';
import { createJsonParser } from '../../../gateway/guards/json.js';
import { createGatewayMetrics } from '../../../gateway/gateway-metrics.js';
import type { FindOperation } from '../../../gateway/transports/operations.js';
import { serveWebSocket, type WebSocketLimits } from '../../../gateway/transports/websocket/websocket.js';
import { eventually } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import { openSocket } from '../protocol-client.js';

let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway({
    settings: {
      GATEWAY_MAX_CONNECTIONS: '4',
      GATEWAY_MAX_CONNECTIONS_PER_TENANT: '2',
      GATEWAY_MAX_OPERATIONS_PER_CONNECTION: '3',
    },
  });
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(async () => {
  await world.disconnect();
  await eventually(async () => expect(await world.metric('fleetgraph_gateway_websockets')).toBe(0));
});

const watch = (id: string): string => `subscription { deviceState(deviceId: "${id}") { cursor } }`;

test('beyond the connections of a tenant one is told to come again later; other tenants are not concerned', async () => {
  await world.socket();
  const second = await world.socket();
  const third = await world.socket();
  expect(await third.closed).toEqual({
    code: 1013,
    reason: 'Too many connections of this tenant. Close some, or come again later.',
  });
  await world.socket({ tenant: 'rival' });
  second.socket.close();
  await second.closed;
  await eventually(async () => {
    const again = await world.socket();
    expect(again.frames[0]?.type).toBe('connection_ack');
  });
});

test('beyond the connections of the gateway the handshake is answered 503', async () => {
  for (const tenant of ['a', 'a', 'b', 'b']) await world.socket({ tenant });
  const refused = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const status = await new Promise((resolve) => {
    refused.once('unexpected-response', (_request, response) => {
      resolve(response.statusCode);
      response.destroy();
    });
    refused.once('open', () => resolve('open'));
  });
  expect(status).toBe(503);
  expect(await world.metric('fleetgraph_gateway_subscriptions_refused_total')).toBeGreaterThan(0);
});

test('beyond the operations of a connection one ends with RATE_LIMITED, and the others go on', async () => {
  const client = await world.socket();
  for (const id of ['a', 'b', 'c']) client.subscribe(id, watch(id));
  await eventually(() => expect(world.subgraphs.live.open).toHaveLength(3));
  client.subscribe('d', watch('d'));
  expect((await client.error('d'))[0]?.extensions).toEqual({ code: 'RATE_LIMITED' });
  client.complete('a');
  client.subscribe('e', watch('e'));
  await eventually(() =>
    expect(world.subgraphs.live.open.map(({ args }) => args['deviceId'])).toEqual(
      expect.arrayContaining(['b', 'c', 'e']),
    ),
  );
});

// A gateway died of this while it was draining, and so it would have at its limit.
test('a client that is refused may break off as it likes: the gateway lives on', async () => {
  await using alone = await serveAlone({ connections: 1 });
  const client = await alone.open();
  for (let turn = 0; turn < 10; turn += 1) {
    const refused = connect(alone.port, '127.0.0.1');
    refused.on('error', () => undefined);
    refused.write(
      'GET /graphql HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n',
    );
    const [answer] = (await once(refused, 'data')) as [Buffer];
    expect(answer.toString()).toContain('503');
    refused.resetAndDestroy();
    await once(refused, 'close');
  }
  client.send({ type: 'ping' });
  await eventually(() => expect(client.frames).toContainEqual({ type: 'pong' }));
});

/** The transport alone, with limits of its own; everybody may come, nobody gets anything. */
async function serveAlone(limits: Partial<WebSocketLimits>) {
  const httpServer: Server = createServer();
  const identity = {
    ...{ tenant: 'acme', subject: 'someone', scopes: new Set<never>() },
    expiresAtMs: Date.now() + 3_600_000,
  };
  const findOperation: FindOperation = () =>
    ({
      document: parse('subscription { anything }'),
      isSubscription: true,
      admit: () => ({ subscriptionPlan: () => ({}) }),
    }) as never;
  const transport = serveWebSocket({
    httpServer,
    engine: {
      subscribe: () => ({ resume() {}, renew() {}, leave() {}, cursor: () => undefined }),
      documents: () => new Set(),
      reload: async () => undefined,
    },
    ...{ findOperation, peekOperation: findOperation },
    executeOnce: async () => answerOf(undefined, []),
    createContext: async () => ({ identity, forwarded: {} }),
    formatError: (formatted) => formatted,
    maxMessagesPerSecond: 1_000,
    parseJson: createJsonParser(32),
    metrics: createGatewayMetrics(new Registry()),
    limits: { connections: 100, connectionsPerTenant: 100, operationsPerConnection: 10, ...limits },
  });
  await new Promise<void>((resolve) => httpServer.listen(0, '127.0.0.1', resolve));
  const { port } = httpServer.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/graphql`;
  return {
    ...{ transport, port },
    open: () => openSocket(url, {}),
    async [Symbol.asyncDispose]() {
      await transport.stop(0);
      httpServer.closeAllConnections();
      await new Promise((resolve) => httpServer.close(resolve));
    },
  };
}

test('a connection without any operation is closed after a while; one with an operation is not', async () => {
  await using alone = await serveAlone({ idleMs: 300 });
  const [busy, idle] = [await alone.open(), await alone.open()];
  busy.subscribe('s', 'subscription { anything }');
  expect((await idle.closed).code).toBe(1000);
  expect(busy.socket.readyState).toBe(WebSocket.OPEN);
  busy.complete('s');
  expect((await busy.closed).code).toBe(1000);
});

test('a connection whose other end has fallen silent is given up; one that answers pings is not', async () => {
  await using alone = await serveAlone({ keepAliveMs: 400 });
  const [alive, silent] = [await alone.open(), await alone.open()];
  let pings = 0;
  alive.socket.on('ping', () => (pings += 1));
  // What comes is not read, so nothing is answered; the kernel keeps the connection.
  silent.socket.pause();
  const gone = silent.closed;
  await eventually(() => expect(pings).toBeGreaterThan(2));
  silent.socket.resume();
  expect((await gone).code).toBe(1006);
  expect(alive.socket.readyState).toBe(WebSocket.OPEN);
});

// A machine that was suspended for a moment closed the connections of all of its clients when it woke.
test('a gateway that stood still takes nobody for silent: it asks first', async () => {
  await using alone = await serveAlone({ keepAliveMs: 400 });
  const client = await alone.open();
  let pings = 0;
  client.socket.on('ping', () => (pings += 1));
  await eventually(() => expect(pings).toBeGreaterThan(0));
  standStill(2_000);
  const before = pings;
  await eventually(() => expect(pings).toBeGreaterThan(before + 1));
  expect(client.socket.readyState).toBe(WebSocket.OPEN);
});

/** Nothing of this process runs for so long. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('a stop takes no new connections and closes the open ones one after the other', async () => {
  await using alone = await serveAlone({});
  const clients = await Promise.all(Array.from({ length: 5 }, () => alone.open()));
  const closedAt: number[] = [];
  for (const client of clients) void client.closed.then(() => closedAt.push(performance.now()));
  const stopping = alone.transport.stop(500);
  await expect(alone.open()).rejects.toThrow('503');
  for (const client of clients) expect((await client.closed).code).toBe(1001);
  await stopping;
  expect((closedAt.at(-1) ?? 0) - (closedAt[0] ?? 0)).toBeGreaterThan(300);
});
