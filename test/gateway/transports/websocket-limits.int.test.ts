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
import type { CreateContext } from '../../../gateway/transports/websocket/connection-token.js';
import type { GatewayContext } from '../../../gateway/request-context.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { Scope } from '../../../platform/identity/identity.js';
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
async function serveAlone(limits: Partial<WebSocketLimits>, more: { createContext?: CreateContext } = {}) {
  const contexts: GatewayContext[] = [];
  const renewed: GatewayContext[] = [];
  const metrics = createGatewayMetrics(new Registry());
  const httpServer: Server = createServer();
  const identity = {
    tenant: 'acme',
    subject: 'someone',
    scopes: new Set<never>(),
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
      subscribe({ context }) {
        contexts.push(context);
        return { resume() {}, renew: (next) => renewed.push(next), leave() {}, cursor: () => undefined };
      },
      documents: () => new Set(),
      reload: async () => undefined,
    },
    findOperation,
    peekOperation: findOperation,
    executeOnce: async () => answerOf(undefined, []),
    createContext: more.createContext ?? (async () => ({ identity, forwarded: {} })),
    formatError: (formatted) => formatted,
    maxMessagesPerSecond: 1_000,
    parseJson: createJsonParser(32),
    metrics,
    limits: { connections: 100, connectionsPerTenant: 100, operationsPerConnection: 10, ...limits },
  });
  await new Promise<void>((resolve) => httpServer.listen(0, '127.0.0.1', resolve));
  const { port } = httpServer.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/graphql`;
  return {
    transport,
    port,
    url,
    contexts,
    renewed,
    identity,
    /** Connections that are open. */
    sockets: async () => (await metrics.sockets.get()).values[0]?.value,
    open: (init: Readonly<Record<string, unknown>> | false = {}) => openSocket(url, init),
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

/** Says whose a token is when the test releases it. */
function createSlowVerification(scopesOf: Readonly<Record<string, readonly Scope[]>> = {}) {
  const released = new Map<string, () => void>();
  const asked: string[] = [];
  const createContext: CreateContext = async (authorization = '') => {
    asked.push(authorization);
    if (authorization.includes('slow')) await new Promise<void>((resolve) => released.set(authorization, resolve));
    if (authorization.includes('bad')) throw new FleetgraphError('UNAUTHENTICATED', 'The token is bad.');
    const scopes = new Set(scopesOf[authorization.slice('Bearer '.length)] ?? []);
    return {
      identity: { tenant: 'acme', subject: 'someone', scopes, expiresAtMs: Date.now() + 3_600_000 },
      forwarded: { authorization },
    };
  };
  return { createContext, asked, release: (token: string) => released.get(`Bearer ${token}`)?.() };
}

// Counted in when its token was verified and never out, it took a place of its tenant for ever.
test('a socket that closes while its token is verified takes no place of its tenant', async () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  let verifying = 0;
  const identity = {
    tenant: 'acme',
    subject: 'someone',
    scopes: new Set<never>(),
    expiresAtMs: Date.now() + 3_600_000,
  };
  await using alone = await serveAlone(
    { connections: 1_000, connectionsPerTenant: 3 },
    {
      async createContext() {
        verifying += 1;
        await released;
        return { identity, forwarded: {} };
      },
    },
  );
  for (let turn = 0; turn < 3; turn += 1) {
    const cut = await Promise.all(Array.from({ length: 100 }, () => alone.open(false)));
    for (const client of cut) client.send({ type: 'connection_init' });
    await eventually(() => expect(verifying).toBe((turn + 1) * 100));
    for (const { socket } of cut) socket.terminate();
    await eventually(async () => expect(await alone.sockets()).toBe(0));
  }
  release();
  for (const client of [await alone.open(), await alone.open(), await alone.open()])
    expect(client.frames[0]?.type).toBe('connection_ack');
  expect((await (await alone.open()).closed).code).toBe(1013);
});

test('of two new tokens on a connection the later one counts, whichever is verified first', async () => {
  const { createContext, asked, release } = createSlowVerification();
  await using alone = await serveAlone({}, { createContext });
  const client = await alone.open({ token: 'first' });
  client.subscribe('before', 'subscription { anything }');
  await eventually(() => expect(alone.contexts).toHaveLength(1));
  client.send({ type: 'ping', payload: { token: 'slow' } });
  client.send({ type: 'ping', payload: { token: 'quick' } });
  const pongs = () => client.frames.filter(({ type }) => type === 'pong');
  await eventually(() => expect(pongs()).toHaveLength(1));
  expect(asked).toContain('Bearer slow');
  release('slow');
  await eventually(() => expect(pongs()).toHaveLength(2));
  client.subscribe('behind', 'subscription { anything }');
  await eventually(() => expect(alone.contexts).toHaveLength(2));
  expect([...alone.contexts, ...alone.renewed].map(({ forwarded }) => forwarded['authorization'])).toEqual(
    ['first', 'quick', 'quick'].map((token) => `Bearer ${token}`),
  );
});

test('a bad token that is found so after a later one was taken ends nothing; the latest one does', async () => {
  const { createContext, asked, release } = createSlowVerification();
  await using alone = await serveAlone({}, { createContext });
  const client = await alone.open({ token: 'first' });
  client.send({ type: 'ping', payload: { token: 'slow bad' } });
  client.send({ type: 'ping', payload: { token: 'quick' } });
  await eventually(() => expect(client.frames.map(({ type }) => type)).toContain('pong'));
  expect(asked).toContain('Bearer slow bad');
  release('slow bad');
  client.send({ type: 'ping', payload: { token: 'quick bad' } });
  expect(await client.closed).toEqual({ code: 4403, reason: 'The token is bad.' });
  expect(client.frames.filter(({ type }) => type === 'pong')).toHaveLength(2);
});

test('an operation that begins while a new token comes runs with the new one', async () => {
  const { createContext, asked, release } = createSlowVerification();
  await using alone = await serveAlone({}, { createContext });
  // Verified at once for the connection, and slowly for the operation.
  const client = await alone.open(false);
  client.send({ type: 'connection_init', payload: { token: 'slow' } });
  await eventually(() => expect(asked).toHaveLength(1));
  release('slow');
  await eventually(() => expect(client.frames.map(({ type }) => type)).toContain('connection_ack'));
  client.subscribe('s', 'subscription { anything }');
  await eventually(() => expect(asked).toHaveLength(2));
  client.send({ type: 'ping', payload: { token: 'quick' } });
  await eventually(() => expect(client.frames.map(({ type }) => type)).toContain('pong'));
  release('slow');
  await eventually(() => expect(alone.contexts).toHaveLength(1));
  expect(alone.contexts[0]?.forwarded['authorization']).toBe('Bearer quick');
});

test('a token that allows something else counts, also if one that allows the same comes after it', async () => {
  const scopesOf = { first: [], 'slow more': ['device:read'], more: ['device:read'] } as const;
  const { createContext, asked, release } = createSlowVerification(scopesOf);
  await using alone = await serveAlone({}, { createContext });
  const client = await alone.open({ token: 'first' });
  client.subscribe('s', 'subscription { anything }');
  await eventually(() => expect(alone.contexts).toHaveLength(1));
  client.send({ type: 'ping', payload: { token: 'slow more' } });
  await eventually(() => expect(asked).toContain('Bearer slow more'));
  release('slow more');
  // Now the operation is to have a context with it.
  await eventually(() => expect(asked.filter((each) => each === 'Bearer slow more')).toHaveLength(2));
  client.send({ type: 'ping', payload: { token: 'more' } });
  await eventually(() => expect(alone.contexts).toHaveLength(2));
  release('slow more');
  await eventually(() => expect(client.frames.filter(({ type }) => type === 'pong')).toHaveLength(2));
  expect(alone.contexts[1]?.forwarded['authorization']).toBe('Bearer more');
  expect([alone.contexts.length, alone.renewed.length]).toEqual([2, 0]);
});

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
