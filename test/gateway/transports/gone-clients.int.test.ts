/** Clients that disconnect: their work ends, the log has no WARN or ERROR, the count is `aborted`. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { captureLog } from '../../world/log-lines.js';
import { startScriptedGateway, type ScriptedGateway } from '../execution/scripted-subgraphs.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import { openSocket } from '../protocol-client.js';
import { openStream, update, watch } from './stream-world.js';

const { log, complaints } = captureLog();
let gateway: ScriptedGateway;
/** Requests that the subgraph has not answered. */
const waiting: ServerResponse[] = [];
beforeAll(async () => {
  const settings = { GATEWAY_BODY_TIMEOUT_MS: '300' };
  const sdl = { catalog: 'type Query { name: String } type Mutation { rename: String }' };
  gateway = await startScriptedGateway(sdl, settings, undefined, log);
  gateway.scripts.set('catalog', (_sent, response) => void waiting.push(response));
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => void (waiting.length = 0));

async function countOf(type: string, outcome: string): Promise<number> {
  const { values } = (await gateway.metrics.getSingleMetric('fleetgraph_gateway_requests_total')?.get()) ?? {
    values: [],
  };
  const found = values.find(({ labels }) => labels['type'] === type && labels['outcome'] === outcome);
  return found?.value ?? 0;
}

/** A request on a socket that the test can cut. */
function send(method: 'GET' | 'POST', accept: string, query: string, length?: number): Socket {
  const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  const body = method === 'POST' ? JSON.stringify({ query }) : '';
  const search = method === 'GET' ? `?${new URLSearchParams({ query }).toString()}` : '';
  const type = method === 'POST' ? 'Content-Type: application/json' : 'Apollo-Require-Preflight: yes';
  socket.write(
    `${method} /graphql${search} HTTP/1.1\r\nHost: x\r\nAccept: ${accept}\r\n${type}\r\nContent-Length: ${length ?? body.length}\r\n\r\n${body}`,
  );
  return socket;
}

const json = 'application/json';
test.each([
  ['a query by POST', 'query', 'POST', json, '{ name }'],
  ['a query by GET', 'query', 'GET', json, '{ name }'],
  ['a query over SSE', 'query', 'POST', 'text/event-stream', '{ name }'],
  ['a mutation', 'mutation', 'POST', json, 'mutation { rename }'],
] as const)(
  '%s is cancelled at its subgraph when its client disconnects, and counts as aborted',
  async (_what, type, method, accept, query) => {
    const before = { aborted: await countOf(type, 'aborted'), error: await countOf(type, 'error') };
    const socket = send(method, accept, query);
    await eventually(() => expect(waiting).toHaveLength(1));
    socket.destroy();
    await eventually(() => expect(waiting[0]?.destroyed).toBe(true));
    await eventually(async () => expect(await countOf(type, 'aborted')).toBe(before.aborted + 1));
    expect(await countOf(type, 'error')).toBe(before.error);
    expect(complaints()).toEqual([]);
  },
);

test.each(['complete', 'close', 'reset'] as const)(
  'a query over a WebSocket is cancelled at its subgraph on %s, and counts as aborted',
  async (how) => {
    const before = await countOf('query', 'aborted');
    const client = await openSocket(gateway.url, {});
    client.subscribe('q', '{ name }');
    await eventually(() => expect(waiting).toHaveLength(1));
    if (how === 'complete') client.complete('q');
    else if (how === 'close') client.socket.close();
    else client.socket.terminate();
    await eventually(() => expect(waiting[0]?.destroyed).toBe(true));
    await eventually(async () => expect(await countOf('query', 'aborted')).toBe(before + 1));
    expect(client.types('q')).toEqual([]);
    client.socket.terminate();
    expect(complaints()).toEqual([]);
  },
);

test('answers the other client of a shared execution when one disconnects', async () => {
  const [leaving, staying] = [send('POST', json, '{ name }'), send('POST', json, '{ name }')];
  let text = '';
  staying.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await eventually(() => expect(waiting).toHaveLength(1));
  const before = await countOf('query', 'aborted');
  leaving.destroy();
  await eventually(async () => expect(await countOf('query', 'aborted')).toBe(before + 1));
  // The other one may have come after the first had left.
  const open = await eventually(() => {
    const found = waiting.find(({ destroyed }) => !destroyed);
    if (!found) throw new Error('nothing is asked of the subgraph');
    return found;
  });
  open.setHeader('content-type', json).end('{"data":{"name":"Chair"}}');
  await eventually(() => expect(text).toContain('{"data":{"name":"Chair"}}'));
  staying.destroy();
});

test('counts a request as aborted whose body breaks off', async () => {
  const before = { aborted: await countOf('unknown', 'aborted'), error: await countOf('unknown', 'error') };
  const socket = send('POST', json, '{ name }', 10_000);
  await once(socket, 'connect');
  await eventually(() => expect(socket.bytesWritten).toBeGreaterThan(0));
  socket.destroy();
  await eventually(async () => expect(await countOf('unknown', 'aborted')).toBe(before.aborted + 1));
  expect(await countOf('unknown', 'error')).toBe(before.error);
  expect(complaints()).toEqual([]);
});

test('answers a query by GET that takes longer than GATEWAY_BODY_TIMEOUT_MS', async () => {
  const socket = send('GET', json, '{ name }');
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const startedAt = performance.now();
  await eventually(() => expect(waiting).toHaveLength(1));
  await eventually(() => expect(performance.now() - startedAt).toBeGreaterThan(600));
  expect(text).toBe('');
  waiting[0]?.setHeader('content-type', json).end('{"data":{"name":"Chair"}}');
  await eventually(() => expect(text).toContain('{"data":{"name":"Chair"}}'));
  socket.destroy();
});

describe('subscriptions', () => {
  let world: GatewayWorld;
  beforeAll(async () => {
    world = await startGateway({ log });
    world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
    world.subgraphs.live.snapshot = () => update(1);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test.each(['WebSocket', 'text/event-stream', 'multipart/mixed;subscriptionSpec=1.0'])(
    'a subscription over %s counts as left when its client disconnects',
    async (how) => {
      const left = () => world.metric('fleetgraph_gateway_subscriptions_ended_total', 'left');
      const before = await left();
      if (how === 'WebSocket') {
        const client = await world.socket();
        client.subscribe('s', watch);
        await client.payload('s');
        client.socket.terminate();
      } else {
        const stream = await openStream(world, { accept: how, query: watch });
        await eventually(() => expect(stream.text()).toContain('cursor-1'));
        stream.leave();
      }
      await eventually(async () => expect(await left()).toBe(before + 1));
      await eventually(() => expect(world.subgraphs.live.open).toEqual([]));
      expect(await world.metric('fleetgraph_gateway_subscriptions_ended_total', 'error')).toBe(0);
      expect(complaints()).toEqual([]);
    },
  );
});
