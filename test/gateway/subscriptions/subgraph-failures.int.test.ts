/** Failures of subgraphs and of their connections: `UNAVAILABLE` only if a retry can help. */
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { eventually } from '../../world/eventually.js';
import type { ProtocolClient } from '../protocol-client.js';
import { startScriptedStreams, type ScriptedOperation, type ScriptedStreams } from './scripted-streams.js';

const sdl = `
  type Query { q: Int }
  type Subscription { n: Int! m: Int live(since: String): Update @resumable }
  type Update { cursor: String! n: Int }
`;

let world: ScriptedStreams;
let acknowledge: ScriptedStreams['onInit'];
beforeAll(async () => {
  world = await startScriptedStreams(sdl);
  acknowledge = world.onInit;
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.onSubscribe = () => undefined;
  world.onUpgrade = () => false;
  world.onInit = acknowledge;
});

/** RFC 6455, 1.3. */
const webSocketGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const internal = {
  message: expect.stringMatching(/^Something went wrong inside .*\. The log has the cause\.$/) as string,
  extensions: { code: 'INTERNAL_SERVER_ERROR' },
};

/** What ends a subscription to which the subgraph does this. */
async function errorsOf(onSubscribe: (operation: ScriptedOperation) => void) {
  const client = await world.client();
  world.onSubscribe = onSubscribe;
  client.subscribe('s', 'subscription { n }');
  const errors = await client.error('s');
  expect(client.types('s')).toEqual(['error']);
  client.socket.close();
  return errors;
}

test('errors without a code of fleetgraph are masked, all of them, and their words are in the log', async () => {
  const payload = [
    { message: 'SELECT * FROM users failed at db-7:5432', locations: [{ line: 1, column: 1 }], path: ['n'] },
    { message: 'Cannot query field "n" on type "Subscription".' },
    { message: 'The token lacks the scope.', extensions: { code: 'FORBIDDEN', host: 'db-7' } },
    { message: 'too old', extensions: { code: 'STALE' } },
    'no error at all',
  ];
  const errors = await errorsOf(({ send }) => send({ type: 'error', payload }));
  expect(errors).toEqual([
    internal,
    internal,
    { message: 'The token lacks the scope.', extensions: { code: 'FORBIDDEN' } },
    internal,
    internal,
  ]);
  const words = world.log.map(({ err }) => err?.message);
  expect(words).toEqual(
    expect.arrayContaining([payload[0], payload[1], payload[3]].map((each) => (each as Error).message)),
  );
});

test('many errors, none, or what is no list of errors, are an end with an error all the same', async () => {
  const many = Array.from({ length: 1_000 }, () => ({ message: 'x', extensions: { code: 'NOT_FOUND' } }));
  expect(await errorsOf(({ send }) => send({ type: 'error', payload: many }))).toHaveLength(21);
  for (const payload of [[], {}, null, 'text', undefined, [null]])
    expect(await errorsOf(({ send }) => send({ type: 'error', payload }))).toEqual([internal]);
});

test('a subgraph may say itself that it is away', async () => {
  const payload = [{ message: 'The database is away.', extensions: { code: 'UNAVAILABLE' } }];
  expect(await errorsOf(({ send }) => send({ type: 'error', payload }))).toEqual(payload);
});

test('with GATEWAY_SUBGRAPH_ERRORS=show clients see the words and codes of the subgraph', async () => {
  await using shown = await startScriptedStreams(sdl, { GATEWAY_SUBGRAPH_ERRORS: 'show' });
  const payload = [{ message: 'too old', extensions: { code: 'STALE', stacktrace: ['at …'] } }];
  shown.onSubscribe = ({ send, next, query }) => {
    if (query.includes('{n}')) send({ type: 'error', payload });
    else next(JSON.stringify({ data: { m: null }, errors: payload }));
  };
  const client = await shown.client();
  client.subscribe('s', 'subscription { n }');
  expect(await client.error('s')).toMatchObject([{ message: 'too old', extensions: { code: 'STALE' } }]);
  client.subscribe('t', 'subscription { m }');
  expect(await client.payload('t')).toMatchObject({
    data: { m: null },
    errors: [{ message: 'too old', extensions: { code: 'STALE' } }],
  });
  expect(JSON.stringify(client.frames)).not.toContain('stacktrace');
});

const refused = (code: string, words: string) => [
  { message: expect.stringContaining(words) as string, extensions: { code } },
];
const forbidden = refused('FORBIDDEN', 'The subgraph "a" refuses the gateway\'s connection');
const disagreement = refused('INTERNAL_SERVER_ERROR', 'do not agree on how to subscribe');
const interrupted = refused('UNAVAILABLE', 'The stream was interrupted');

test.each([
  [4400, disagreement],
  [4401, forbidden],
  [4403, forbidden],
  [4406, disagreement],
  [4429, disagreement],
  [1008, disagreement],
  [1000, interrupted],
  [1001, interrupted],
  [1011, interrupted],
  [1012, interrupted],
  [1013, interrupted],
  [4408, interrupted],
  [4500, interrupted],
])('a connection that is closed with %i', async (code, expected) => {
  expect(await errorsOf(({ socket }) => socket.close(code, 'a reason'))).toEqual(expected);
  // Before it is acknowledged.
  world.onInit = (socket) => socket.close(code, 'a reason');
  expect(await errorsOf(() => undefined)).toEqual(expected);
});

const answer = (status: number) => (socket: Duplex) => {
  socket.end(`HTTP/1.1 ${status} X\r\nconnection: close\r\ncontent-length: 4\r\n\r\nnope`);
  return true;
};

test.each([
  [200, disagreement],
  [301, disagreement],
  [400, disagreement],
  [401, forbidden],
  [403, forbidden],
  [404, disagreement],
  [426, disagreement],
  [429, interrupted],
  [500, interrupted],
  [502, interrupted],
  [503, interrupted],
])('an upgrade that is answered %i', async (status, expected) => {
  await closeUpstream();
  world.onUpgrade = answer(status);
  expect(await errorsOf(() => undefined)).toEqual(expected);
});

test('an upgrade that is cut off is an interruption', async () => {
  await closeUpstream();
  world.onUpgrade = (socket) => Boolean(socket.destroy());
  expect(await errorsOf(() => undefined)).toEqual(interrupted);
});

// Servers of the old protocol answer with its name, or with none.
test.each([undefined, 'graphql-ws'])('reports a server that speaks another protocol (%s)', async (protocol) => {
  await closeUpstream();
  world.onUpgrade = (socket, request) => {
    const key = createHash('sha1').update(`${request.headers['sec-websocket-key'] ?? ''}${webSocketGuid}`);
    const lines = ['HTTP/1.1 101 X', 'upgrade: websocket', 'connection: upgrade'];
    lines.push(`sec-websocket-accept: ${key.digest('base64')}`);
    if (protocol !== undefined) lines.push(`sec-websocket-protocol: ${protocol}`);
    return socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  };
  expect(await errorsOf(() => undefined)).toEqual(disagreement);
  expect(world.log.map(({ err }) => err?.stack).join('\n')).toMatch(/subprotocol/);
});

/** So that the next operation needs a new connection. */
async function closeUpstream(): Promise<void> {
  await errorsOf(({ socket }) => socket.close(1012));
}

test.each([
  '{}',
  'null',
  '[]',
  '5',
  '"text"',
  '{"data":null}',
  '{"data":5}',
  '{"data":{"n":1},"errors":5}',
  '{"errors":[]}',
])('a payload %s ends its own operation alone, and the connection stays', async (payload) => {
  const client = await world.client();
  const operations: ScriptedOperation[] = [];
  world.onSubscribe = (operation) => operations.push(operation);
  client.subscribe('good', 'subscription { m }');
  client.subscribe('bad', 'subscription { n }');
  await eventually(() => expect(operations).toHaveLength(2));
  const [good, bad] = operations;
  const { connections } = world.counts;
  bad?.next(payload);
  expect(await client.error('bad')).toEqual([internal]);
  good?.next('{"data":{"m":1}}');
  expect(await client.payload('good')).toEqual({ data: { m: 1 } });
  // What it goes on saying is for nobody.
  bad?.next(payload);
  good?.next('{"data":{"m":2}}');
  expect(await client.payload('good', 1)).toEqual({ data: { m: 2 } });
  expect(world.counts.connections).toBe(connections);
  client.socket.close();
});

test('a `next` without a payload ends its operation alone', async () => {
  expect(await errorsOf(({ send }) => send({ type: 'next' }))).toEqual([internal]);
});

test.each([
  ['a frame that is not JSON', 'Good morning'],
  ['data that is not JSON', '{"id":"ID","type":"next","payload":{"data":{"n":}}}'],
  ['an unknown message', '{"id":"ID","type":"surprise"}'],
  ['null', 'null'],
])('%s ends the connection; a stream that can be taken up again is', async (_what, text) => {
  const { client, opened, sinces } = await followLive();
  const id = (JSON.parse(opened[0]?.text ?? '') as { id: string }).id;
  opened[0]?.socket.send(text.replace('ID', id));
  await eventually(() => expect(opened).toHaveLength(2));
  expect(sinces).toEqual([undefined, 'c1']);
  await goesOn(client, opened[1]);
});

// Proxies answer 404 while a subgraph restarts; a subgraph may close because of another client.
test.each([
  ['closed with 4403', (socket: WebSocket) => socket.close(4403), () => false],
  ['answered 404', (socket: WebSocket) => socket.terminate(), answer(404)],
])('a stream that ran is taken up again when its connection was %s for a while', async (_how, leave, onUpgrade) => {
  const { client, opened, sinces } = await followLive();
  const { connections } = world.counts;
  world.onUpgrade = onUpgrade;
  if (opened[0]) leave(opened[0].socket);
  await eventually(() => expect(world.counts.connections).toBeGreaterThan(connections));
  world.onUpgrade = () => false;
  await eventually(() => expect(opened).toHaveLength(2));
  expect(sinces).toEqual([undefined, 'c1']);
  await goesOn(client, opened[1]);
});

const event = (n: number) =>
  `{"data":{"live":{"cursor":"c${n}","n":${n}}},"extensions":{"stream":{"position":"${n}","cursor":"c${n}"}}}`;

/** A client of a stream that can be taken up again, which has seen its first event. */
async function followLive() {
  const client = await world.client();
  const [sinces, opened]: [unknown[], ScriptedOperation[]] = [[], []];
  world.onSubscribe = (operation) => {
    const { phase } = operation.extensions['stream'] as { phase?: string };
    operation.next('{"data":null,"extensions":{"stream":{"mark":{"position":"0","cursor":"c0"}}}}');
    if (phase === 'live') {
      sinces.push(operation.variables['fleetgraph_since']);
      opened.push(operation);
    } else operation.send({ type: 'complete' });
  };
  client.subscribe('s', 'subscription { live { cursor n } }');
  await eventually(() => {
    opened[0]?.next(event(1));
    expect(client.payloads('s').length).toBeGreaterThan(0);
  });
  return { client, opened, sinces };
}

async function goesOn(client: ProtocolClient, operation: ScriptedOperation | undefined): Promise<void> {
  operation?.next(event(2));
  await eventually(() => expect(client.payloads('s').at(-1)).toEqual({ data: { live: { cursor: 'c2', n: 2 } } }));
  expect(client.types('s')).not.toContain('error');
  client.socket.close();
}

test('a hundred streams of a connection that is lost have a line in the log, and one when it is over', async () => {
  await using quiet = await startScriptedStreams(sdl);
  const clients = await Promise.all(Array.from({ length: 100 }, () => quiet.client()));
  const operations: ScriptedOperation[] = [];
  quiet.onSubscribe = (operation) => operations.push(operation);
  for (const [index, client] of clients.entries()) client.subscribe('s', `subscription { m${index}: m }`);
  await eventually(() => expect(operations).toHaveLength(100));
  quiet.onUpgrade = answer(503);
  operations[0]?.socket.terminate();
  for (const client of clients) await client.error('s');
  for (const client of clients) client.subscribe('t', 'subscription { m }');
  for (const client of clients) await client.error('t');
  quiet.onUpgrade = () => false;
  clients[0]?.subscribe('u', 'subscription { m }');
  await eventually(() => expect(operations).toHaveLength(101));
  const lines = (): string[] => quiet.log.filter(({ level }) => level >= 30).map(({ msg }) => msg);
  expect(lines().filter((msg) => msg.startsWith('upstream'))).toEqual(['upstream connection failed']);
  // It is over when nothing has failed for some seconds.
  await eventually(
    () =>
      expect(lines().filter((msg) => msg.startsWith('upstream'))).toEqual([
        'upstream connection failed',
        'upstream connection failed: over',
      ]),
    30_000,
  );
});

test('one error that ends a stream of a hundred clients has one line in the log', async () => {
  const clients = await Promise.all(Array.from({ length: 100 }, () => world.client()));
  const operations: ScriptedOperation[] = [];
  world.onSubscribe = (operation) => operations.push(operation);
  for (const client of clients) client.subscribe('s', 'subscription { m }');
  await eventually(() => expect(operations).toHaveLength(1));
  // All have joined when all get the same.
  await eventually(() => {
    operations[0]?.next('{"data":{"m":1}}');
    for (const client of clients) expect(client.payloads('s').length).toBeGreaterThan(0);
  });
  operations[0]?.send({ type: 'error', payload: [{ message: 'the words of this test' }] });
  for (const client of clients) expect(await client.error('s')).toEqual([internal]);
  expect(world.log.filter(({ err }) => err?.message === 'the words of this test')).toHaveLength(1);
  for (const { socket } of clients) socket.close();
});
