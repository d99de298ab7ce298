/** The shared connection to a subgraph: bounded for a slow reader, given up when the other end falls silent. */
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { makeServer } from 'graphql-ws';
import { buildSchema } from 'graphql';
import { WebSocketServer } from 'ws';
import { afterEach, expect, test } from 'vitest';
import { createUpstreams, StreamInterrupted, type Upstreams } from '../../../gateway/subscriptions/upstream.js';
import { silentLog } from '../../world/database.js';
import { eventually, within } from '../../world/eventually.js';

const operation = { query: 'subscription { ticks }', variables: {}, extensions: {} };
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function upstreamsTo(port: number, options: { maxWaiting?: number; keepAliveMs?: number } = {}): Upstreams {
  const upstreams = createUpstreams({
    urls: { query: () => `http://127.0.0.1:${port}/graphql` },
    log: silentLog,
    ...options,
  });
  cleanUps.push(() => upstreams.close());
  return upstreams;
}

/** A subgraph that counts up to `last`, as fast as it can, and answers pings unless it is deaf. */
async function startCounter(last: number, { deaf = false } = {}) {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'graphql-transport-ws' });
  cleanUps.push(() => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
  });
  const counted = { sent: 0, pings: 0, completes: 0 };
  const server = makeServer({
    schema: buildSchema('type Query { a: Int } type Subscription { ticks: Int }'),
    subscribe: () =>
      (async function* () {
        for (; counted.sent < last; counted.sent += 1) yield { data: { ticks: counted.sent } };
        await new Promise(() => undefined);
      })(),
  });
  sockets.on('connection', (socket) => {
    const closed = server.opened(
      {
        protocol: socket.protocol,
        send: async (data) => socket.send(data),
        close: (code, reason) => socket.close(code, reason),
        onMessage: (receive) => {
          socket.on('message', (data: Buffer) => {
            const text = data.toString();
            const isPing = text.includes('"ping"');
            if (isPing) counted.pings += 1;
            if (text.includes('"complete"')) counted.completes += 1;
            if (!(deaf && isPing)) void receive(text);
          });
        },
      },
      {},
    );
    socket.once('close', (code, reason) => void closed(code, reason.toString()));
  });
  await new Promise((resolve) => sockets.once('listening', resolve));
  return { counted, port: (sockets.address() as AddressInfo).port };
}

test('events come in order, and what came before the end is given before it', async () => {
  const { port } = await startCounter(50);
  const leaving = new AbortController();
  const seen: unknown[] = [];
  for await (const { data } of upstreamsTo(port).subscribe('query', operation, leaving.signal)) {
    seen.push(data?.['ticks']);
    if (seen.length === 50) leaving.abort();
  }
  expect(seen).toEqual(Array.from({ length: 50 }, (_unused, index) => index));
});

test('a reader that falls too far behind is cut off, after what it had room for', async () => {
  const { port, counted } = await startCounter(500);
  const events = upstreamsTo(port, { maxWaiting: 20 }).subscribe('query', operation, new AbortController().signal);
  const seen = [await events.next()];
  // While this reader does nothing, more arrive than there is room for, and the stream is left.
  await eventually(() => expect(counted.completes).toBe(1));
  const read = async () => {
    for (;;) {
      const next = await events.next();
      if (next.done) return;
      seen.push(next);
    }
  };
  await expect(within(read(), 5_000, 'the end')).rejects.toThrow(StreamInterrupted);
  expect(seen.length).toBeLessThanOrEqual(22);
  expect(seen.map(({ value }) => (value as { data: { ticks: number } }).data.ticks)).toEqual([...seen.keys()]);
});

test('leaving while nothing comes ends at once', async () => {
  const { port } = await startCounter(1);
  const leaving = new AbortController();
  const events = upstreamsTo(port).subscribe('query', operation, leaving.signal);
  await events.next();
  const waiting = events.next();
  leaving.abort();
  expect(await within(waiting, 2_000, 'leaving')).toEqual({ done: true, value: undefined });
});

test('a subgraph that falls silent is given up, and the stream ends as interrupted', async () => {
  const { port } = await startCounter(1, { deaf: true });
  const events = upstreamsTo(port, { keepAliveMs: 100 }).subscribe('query', operation, new AbortController().signal);
  await events.next();
  await expect(within(events.next(), 5_000, 'noticing')).rejects.toThrow(StreamInterrupted);
});

test('a subgraph that answers pings is kept', async () => {
  const { port, counted } = await startCounter(1);
  const leaving = new AbortController();
  const events = upstreamsTo(port, { keepAliveMs: 50 }).subscribe('query', operation, leaving.signal);
  await events.next();
  const next = events.next();
  await eventually(() => expect(counted.pings).toBeGreaterThan(5));
  leaving.abort();
  // Left, not broken.
  expect(await next).toEqual({ done: true, value: undefined });
});

test('an address where nothing listens, or nobody answers, is an interruption soon', async () => {
  const nobody = createServer();
  await new Promise<void>((resolve) => nobody.listen(0, '127.0.0.1', resolve));
  const { port } = nobody.address() as AddressInfo;
  await closed(nobody);
  const refused = upstreamsTo(port).subscribe('query', operation, new AbortController().signal);
  await expect(within(refused.next(), 5_000, 'refusing')).rejects.toThrow(StreamInterrupted);

  const silent = createServer((socket) => cleanUps.push(() => socket.destroy()));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => closed(silent));
  const unanswered = upstreamsTo((silent.address() as AddressInfo).port).subscribe(
    'query',
    operation,
    new AbortController().signal,
  );
  await expect(within(unanswered.next(), 9_000, 'giving up')).rejects.toThrow(StreamInterrupted);
});

async function closed(server: Server): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
}
