// Program: the three subgraphs, the query one with streams that a line on standard input pushes into: `{"count": n}` gives every
// open stream n payloads, one a turn of the event loop; `{"count": n, "overMs": t}` spreads each round over that time, so that the
// streams get their payloads one after the other; with `"padding": n` each carries a text of so many characters. It speaks graphql-transport-ws and executes nothing: each payload is put
// together by hand, so that what is measured is whoever stands in front of it. It has the fields that the benchmark asks for.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { createInterface } from 'node:readline';
import { WebSocketServer, type WebSocket } from 'ws';
import { allScopes } from '../../platform/identity/identity.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import { streamRequestOf } from '../../platform/graphql/stream-contract.js';
import { startSubgraphs } from '../../test/gateway/subgraphs.js';

const verifyToken: VerifyToken = async () => ({
  tenant: 'bench',
  subject: 'bench',
  scopes: new Set(allScopes),
  expiresAtMs: Date.now() + 86_400_000,
});
const subgraphs = await startSubgraphs(verifyToken);
subgraphs.devices.set(
  'bench',
  Array.from({ length: 10_000 }, (_unused, index) => ({ id: `device-${index}`, name: `Device ${index}` })),
);

interface OpenStream {
  readonly socket: WebSocket;
  readonly device: string;
  /** In front of the number of the version, between the two, and behind. */
  readonly next: (version: number, at: string) => string;
}

interface Message {
  readonly type: string;
  readonly id: string;
  readonly payload?: { query: string; variables?: Record<string, unknown>; extensions?: Record<string, unknown> };
}

const open = new Map<WebSocket, Map<string, OpenStream>>();
const connections = new Map<WebSocket, Duplex>();
let version = 0;
let padding = '';

function receive(socket: WebSocket, text: string): void {
  const { type, id, payload } = JSON.parse(text) as Message;
  if (type === 'connection_init') socket.send('{"type":"connection_ack"}');
  else if (type === 'ping') socket.send('{"type":"pong"}');
  else if (type === 'complete') open.get(socket)?.delete(id);
  else if (type === 'subscribe' && payload) subscribe(socket, id, payload);
}

function subscribe(
  socket: WebSocket,
  id: string,
  { query, variables, extensions }: NonNullable<Message['payload']>,
): void {
  const phase = streamRequestOf(extensions)?.phase;
  const device =
    Object.values(variables ?? {}).find((value): value is string => typeof value === 'string') ?? 'device-0';
  const mark = `{"id":"${id}","type":"next","payload":{"data":null,"extensions":{"stream":{"mark":{"position":"0","cursor":"c"}}}}}`;
  const isJoined = /device\s*\{/.test(query);
  const typename = (name: string): string => (query.includes('__typename') ? `"__typename":"${name}",` : '');
  const own = isJoined ? `,"device":{"__typename":"Device","id":"${device}"}` : '';
  const nextReadings = (of: number, at: string): string => {
    const reading = `{${typename('Reading')}"metric":"text","value":"${padding}","at":"${at}"}`;
    const update = `{${typename('TelemetryUpdate')}"cursor":"cursor-of-about-the-usual-length-${of}","readings":[${reading}]}`;
    const place = phase ? `,"extensions":{"stream":{"position":"${of}","cursor":"c${of}"}}` : '';
    return `{"id":"${id}","type":"next","payload":{"data":{"telemetry":${update}}${place}}}`;
  };
  const nextState = (of: number, at: string): string => {
    const value = (name: string): string =>
      `{${typename('MetricState')}"name":"${name}","value":${padding === '' ? 20 + of : `"${padding}"`},"at":"${at}"}`;
    const state = `{${typename('DeviceState')}"version":${of},"metrics":[${value('temperature')},${value('pressure')}]}`;
    const update = `{${typename('DeviceStateUpdate')}"cursor":"cursor-of-about-the-usual-length-${of}","state":${state}${own}}`;
    const place = phase ? `,"extensions":{"stream":{"position":"${of}","cursor":"c${of}","key":"${device}"}}` : '';
    return `{"id":"${id}","type":"next","payload":{"data":{"deviceState":${update}}${place}}}`;
  };
  const next = /telemetry\s*\(/.test(query) ? nextReadings : nextState;
  const stream: OpenStream = { socket, device, next };
  if (phase === 'live') socket.send(mark);
  else socket.send(next(version, new Date().toISOString()));
  if (phase === 'catchUp') {
    socket.send(mark);
    socket.send(`{"id":"${id}","type":"complete"}`);
  } else open.get(socket)?.set(id, stream);
}

/** Gives a payload to the streams of each connection from one share (0 to 1) of them to another. */
function push(from: number, to: number): void {
  const at = new Date().toISOString();
  for (const [socket, streams] of open) {
    const connection = connections.get(socket);
    const all = [...streams.values()];
    connection?.cork();
    for (const { next } of all.slice(Math.floor(from * all.length), Math.floor(to * all.length)))
      socket.send(next(version, at));
    connection?.uncork();
  }
}

async function pushToAll(overMs: number): Promise<void> {
  version += 1;
  const startedAt = performance.now();
  for (let done = 0; done < 1;) {
    const due = overMs === 0 ? 1 : Math.min(1, (performance.now() - startedAt) / overMs);
    push(done, due);
    done = due;
    if (done < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await new Promise((resolve) => setImmediate(resolve));
}

const server = createServer((_request, response) => {
  // Whoever asks whether it is there.
  response.setHeader('content-type', 'application/json').end('{"data":{"__typename":"Query"}}');
});
const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (request, connection, head) => {
  sockets.handleUpgrade(request, connection, head, (socket) => {
    open.set(socket, new Map());
    connections.set(socket, connection);
    socket.on('message', (data: Buffer) => receive(socket, data.toString()));
    socket.once('close', () => {
      open.delete(socket);
      connections.delete(socket);
    });
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

createInterface({ input: process.stdin }).on('line', (line) => {
  void (async () => {
    const {
      count,
      overMs = 0,
      padding: wanted,
    } = JSON.parse(line) as {
      count: number;
      overMs?: number;
      padding?: number;
    };
    if (wanted !== undefined && wanted !== padding.length) padding = 'x'.repeat(wanted);
    for (let pushed = 0; pushed < count; pushed += 1) await pushToAll(overMs);
  })();
});
process.once('SIGTERM', () => process.exit(0));
const query = `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
console.log(JSON.stringify({ hello: { device: subgraphs.device.url(), actions: subgraphs.actions.url(), query } }));
