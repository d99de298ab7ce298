/** The connection to a subgraph that all streams share: as the protocol says, and given up when the other end falls silent. */
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { makeServer } from 'graphql-ws';
import { buildSchema } from 'graphql';
import { WebSocketServer } from 'ws';
import { afterEach, expect, test } from 'vitest';
import { StreamInterrupted } from '../../../gateway/subscriptions/stream-interrupted.js';
import { createUpstreams, type Upstreams } from '../../../gateway/subscriptions/upstream.js';
import { LosslessNumber } from '../../../platform/json/exact-json.js';
import { silentLog } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';

const operation = { query: 'subscription { ticks }', variables: {}, extensions: {} };
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function upstreamsTo(
  port: number | (() => number),
  options: { keepAliveMs?: number; lingerMs?: number } = {},
): Upstreams {
  const upstreams = createUpstreams({
    urls: { query: () => `http://127.0.0.1:${typeof port === 'number' ? port : port()}/graphql` },
    log: silentLog,
    ...options,
  });
  cleanUps.push(() => upstreams.close());
  return upstreams;
}

/** A subgraph that counts up to `last` for each operation, as fast as it can, and answers pings unless it is deaf. */
async function startCounter(last: number, { deaf = false } = {}) {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'graphql-transport-ws' });
  cleanUps.push(() => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
  });
  const counted = { pings: 0, subscribes: 0, completes: 0, connections: 0 };
  const server = makeServer({
    schema: buildSchema('type Query { a: Int } type Subscription { ticks: Int }'),
    subscribe: () =>
      (async function* () {
        for (let sent = 0; sent < last; sent += 1) yield { data: { ticks: sent } };
        await new Promise(() => undefined);
      })(),
  });
  sockets.on('connection', (socket) => {
    counted.connections += 1;
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
            if (text.includes('"subscribe"')) counted.subscribes += 1;
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
  return { counted, sockets, port: (sockets.address() as AddressInfo).port };
}

/** What an operation gets. */
function follow(upstreams: Upstreams) {
  const events: unknown[] = [];
  const endings: (Error | undefined)[] = [];
  const leave = upstreams.subscribe('query', operation, {
    next: (frame) => events.push(frame.result().data?.['ticks']),
    end: (error) => endings.push(error),
  });
  return { events, endings, leave };
}

test('events come in order, and what came before a break is given before it', async () => {
  const { port, sockets } = await startCounter(50);
  const { events, endings } = follow(upstreamsTo(port));
  await eventually(() => expect(events).toHaveLength(50));
  for (const socket of sockets.clients) socket.terminate();
  await eventually(() => expect(endings).toEqual([expect.any(StreamInterrupted)]));
  expect(events).toEqual(Array.from({ length: 50 }, (_unused, index) => index));
});

test('operations share one connection; who leaves hears nothing more, and the others go on', async () => {
  const { port, counted, sockets } = await startCounter(3);
  const upstreams = upstreamsTo(port);
  // One before there is a connection, one that has left by then, one behind it.
  const [first, gone] = [follow(upstreams), follow(upstreams)];
  gone.leave();
  await eventually(() => expect(first.events).toEqual([0, 1, 2]));
  const second = follow(upstreams);
  await eventually(() => expect(counted.subscribes).toBe(2));
  first.leave();
  await eventually(() => expect(counted.completes).toBe(1));
  for (const socket of sockets.clients) socket.terminate();
  await eventually(() => expect(second.endings).toHaveLength(1));
  expect([...first.endings, ...gone.endings, ...gone.events]).toEqual([]);
  expect(counted.connections).toBe(1);
});

test('variables beyond 2^53 are sent with their digits', async () => {
  const { port, sockets } = await startCounter(1);
  const texts: string[] = [];
  sockets.on('connection', (socket) => socket.on('message', (data: Buffer) => texts.push(data.toString())));
  const variables = { id: new LosslessNumber('9007199254740993'), ids: [{ a: new LosslessNumber('1e400') }, 1] };
  const leave = upstreamsTo(port).subscribe('query', { ...operation, variables }, { next() {}, end() {} });
  await eventually(() => expect(texts.at(-1)).toContain('"variables":{"id":9007199254740993,"ids":[{"a":1e400},1]}'));
  leave();
});

// It was sent into the socket that was closing, and ended when that was closed.
test('an operation that begins while the connection is being closed gets another', async () => {
  const { port, counted, sockets } = await startCounter(1);
  const upstreams = upstreamsTo(port, { lingerMs: 1 });
  const first = follow(upstreams);
  await eventually(() => expect(first.events).toEqual([0]));
  // The other end does not hear that it is to close, and so doesn't answer.
  const [socket] = sockets.clients;
  socket?.pause();
  first.leave();
  await eventually(() => {
    follow(upstreams).leave();
    expect(counted.connections).toBe(2);
  });
  const second = follow(upstreams);
  await eventually(() => expect(second.events).toEqual([0]));
  expect(second.endings).toEqual([]);
});

test('the address is asked for each connection', async () => {
  const [before, after] = [await startCounter(1), await startCounter(2)];
  let { port } = before;
  const upstreams = upstreamsTo(() => port);
  const first = follow(upstreams);
  await eventually(() => expect(first.events).toEqual([0]));
  ({ port } = after);
  for (const socket of before.sockets.clients) socket.terminate();
  await eventually(() => expect(first.endings).toHaveLength(1));
  const second = follow(upstreams);
  await eventually(() => expect(second.events).toEqual([0, 1]));
});

test('what one reader can not take ends it alone', async () => {
  const { port } = await startCounter(3);
  const upstreams = upstreamsTo(port);
  const endings: unknown[] = [];
  upstreams.subscribe('query', operation, {
    next() {
      throw new Error('a defect');
    },
    end: (error) => endings.push(error),
  });
  const { events, endings: none } = follow(upstreams);
  await eventually(() => expect(endings).toEqual([new Error('a defect')]));
  await eventually(() => expect(events.at(-1)).toBe(2));
  expect(none).toEqual([]);
});

test('a connection that broke is made anew for the next operation', async () => {
  const { port, sockets } = await startCounter(3);
  const upstreams = upstreamsTo(port);
  const first = follow(upstreams);
  await eventually(() => expect(first.events).toHaveLength(3));
  for (const socket of sockets.clients) socket.terminate();
  await eventually(() => expect(first.endings).toHaveLength(1));
  const second = follow(upstreams);
  await eventually(() => expect(second.events).toEqual([0, 1, 2]));
});

test('a server that does not speak the protocol is an interruption', async () => {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'graphql-transport-ws' });
  cleanUps.push(() => sockets.close());
  sockets.on('connection', (socket) => socket.send('Good morning'));
  await new Promise((resolve) => sockets.once('listening', resolve));
  const { endings } = follow(upstreamsTo((sockets.address() as AddressInfo).port));
  await eventually(() => expect(endings).toEqual([expect.any(StreamInterrupted)]));
});

test('a subgraph that falls silent is given up, and the stream ends as interrupted', async () => {
  const { port } = await startCounter(1, { deaf: true });
  const { endings } = follow(upstreamsTo(port, { keepAliveMs: 100 }));
  await eventually(() => expect(endings).toEqual([expect.any(StreamInterrupted)]));
});

test('a subgraph that answers pings is kept', async () => {
  const { port, counted } = await startCounter(1);
  const { endings } = follow(upstreamsTo(port, { keepAliveMs: 50 }));
  await eventually(() => expect(counted.pings).toBeGreaterThan(5));
  expect(endings).toEqual([]);
});

test('a gateway that stood still does not take its subgraphs for silent', async () => {
  const { port, counted } = await startCounter(1);
  const { endings } = follow(upstreamsTo(port, { keepAliveMs: 200 }));
  for (let times = 0; times < 3; times += 1) {
    const before = counted.pings;
    await eventually(() => expect(counted.pings).toBeGreaterThan(before));
    // The ping has been answered or not: its pong is not read before this is over.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 900);
  }
  const before = counted.pings;
  await eventually(() => expect(counted.pings).toBeGreaterThan(before + 2));
  expect(endings).toEqual([]);
  expect(counted.connections).toBe(1);
});

test('an address where nothing listens, or nobody answers, is an interruption soon', async () => {
  const nobody = createServer();
  await new Promise<void>((resolve) => nobody.listen(0, '127.0.0.1', resolve));
  const { port } = nobody.address() as AddressInfo;
  await closed(nobody);
  const refused = follow(upstreamsTo(port));

  const silent = createServer((socket) => cleanUps.push(() => socket.destroy()));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  cleanUps.push(() => closed(silent));
  const unanswered = follow(upstreamsTo((silent.address() as AddressInfo).port));
  await eventually(() => expect(refused.endings).toEqual([expect.any(StreamInterrupted)]));
  await eventually(() => expect(unanswered.endings).toEqual([expect.any(StreamInterrupted)]), 9_000);
});

async function closed(server: Server): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
}
