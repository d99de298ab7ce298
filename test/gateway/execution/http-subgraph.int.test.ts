/** What becomes of a fetch when its subgraph hangs, answers nonsense, or is not there; and what goes over the wire at all. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { Registry } from 'prom-client';
import { afterEach, expect, test } from 'vitest';
import type { Subgraph, SubgraphRequest } from '../../../gateway/execution/subgraphs/subgraph.js';
import { createSubgraphs, type RunningSubgraphs } from '../../../gateway/execution/subgraphs/subgraphs.js';
import { createGatewayMetrics } from '../../../gateway/gateway-metrics.js';
import { silentLog } from '../../world/database.js';
import { eventually, within } from '../../world/eventually.js';

const servers: Server[] = [];
const opened: RunningSubgraphs[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((subgraphs) => subgraphs.close()));
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
}

function subgraphAt(url: string, timeoutMs = 5_000, compresses = false): Subgraph {
  const metrics = createGatewayMetrics(new Registry());
  const subgraphs = createSubgraphs({ urls: { device: () => url }, metrics, log: silentLog, timeoutMs, compresses });
  opened.push(subgraphs);
  return subgraphs.of('device');
}

function request(
  options: { isMutation?: boolean; authorization?: string; signal?: AbortSignal } = {},
): SubgraphRequest {
  const { isMutation = false, authorization = 'Bearer t', signal } = options;
  return {
    operation: {
      query: '{ device { id } }',
      operationName: undefined,
      isMutation,
      bodyStart: '{"query":"{ device { id } }","variables":{',
    },
    variables: '"id":"d"',
    representations: undefined,
    context: { forwarded: { authorization, 'x-correlation-id': Math.random().toString() } },
    signal,
  };
}

const fetchFrom = (url: string, options: Parameters<typeof request>[0] = {}, timeoutMs?: number) =>
  within(subgraphAt(url, timeoutMs).fetch(request(options)), 5_000, 'the fetch');

const good: RequestListener = (_request, response) =>
  void response.setHeader('content-type', 'application/json').end('{"data":{"device":{"id":"d"}}}');
const unavailable = {
  message: 'The subgraph "device" does not answer. The same request may be retried.',
  extensions: { code: 'UNAVAILABLE' },
};

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of incoming) text += String(chunk);
  return text;
}

test('a good answer is passed on, and asked for with what must be forwarded', async () => {
  let headers: unknown;
  let body = '';
  const url = await serve((incoming, response) => {
    headers = incoming.headers;
    void bodyOf(incoming).then((text) => {
      body = text;
      good(incoming, response);
    });
  });
  expect((await fetchFrom(url)).data).toEqual({ device: { id: 'd' } });
  expect(headers).toMatchObject({ authorization: 'Bearer t', 'content-type': 'application/json' });
  expect(JSON.parse(body)).toEqual({ query: '{ device { id } }', variables: { id: 'd' } });
});

test('a subgraph that never answers is given up', async () => {
  await expect(fetchFrom(await serve(() => undefined), {}, 100)).rejects.toMatchObject(unavailable);
});

test('one that begins an answer and never ends it is given up', async () => {
  const url = await serve((_request, response) => void response.write('{"data":'));
  await expect(fetchFrom(url, {}, 100)).rejects.toMatchObject(unavailable);
});

test.each<[string, RequestListener]>([
  ['an HTML page', (_request, response) => void response.setHeader('content-type', 'text/html').end('<h1>hi</h1>')],
  ['JSON that ends too early', (_request, response) => void response.end('{"data":{"device":{"id":"d"')],
  ['JSON that is no response', (_request, response) => void response.end('[1]')],
  ['data that is no object', (_request, response) => void response.end('{"data":"d"}')],
  ['neither data nor errors', (_request, response) => void response.end('{}')],
  ['errors that are none', (_request, response) => void response.end('{"data":null,"errors":"no"}')],
  ['a status of 500', (_request, response) => void response.writeHead(500).end('oops')],
  ['a status of 502 of a proxy', (_request, response) => void response.writeHead(502).end('<h1>bad gateway</h1>')],
  ['the end of the connection', (incoming) => incoming.socket.destroy()],
  [
    'the end of the connection within the answer',
    (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"data":');
      setImmediate(() => response.destroy());
    },
  ],
])('%s is UNAVAILABLE', async (_what, listener) => {
  await expect(fetchFrom(await serve(listener))).rejects.toMatchObject(unavailable);
});

test('nobody there is UNAVAILABLE', async () => {
  await expect(fetchFrom('http://127.0.0.1:1/graphql')).rejects.toMatchObject(unavailable);
});

test('a token that the subgraph refuses stays UNAUTHENTICATED, also without a reason', async () => {
  const url = await serve((_request, response) => void response.writeHead(401).end('{}'));
  await expect(fetchFrom(url)).rejects.toMatchObject({ extensions: { code: 'UNAUTHENTICATED' } });
});

test('one that takes no more requests is RATE_LIMITED, also without a reason', async () => {
  const url = await serve((_request, response) => void response.writeHead(429).end('slow down'));
  await expect(fetchFrom(url)).rejects.toMatchObject({ extensions: { code: 'RATE_LIMITED' } });
});

const compressed =
  (coding: string, bytes: Buffer): RequestListener =>
  (_request, response) =>
    void response.writeHead(200, { 'content-encoding': coding }).end(bytes);
const text = '{"data":{"device":{"id":"d"}}}';

test.each<[string, Buffer]>([
  ['gzip', gzipSync(text)],
  ['br', brotliCompressSync(text)],
  ['deflate', deflateSync(text)],
  ['gzip, br', brotliCompressSync(gzipSync(text))],
  ['identity', Buffer.from(text)],
])('an answer in the coding %s is read, though nobody asked for it', async (coding, bytes) => {
  let asked: string | string[] | undefined = 'nothing';
  const url = await serve((incoming, response) => {
    asked = incoming.headers['accept-encoding'];
    compressed(coding, bytes)(incoming, response);
  });
  expect((await fetchFrom(url)).data).toEqual({ device: { id: 'd' } });
  expect(asked).toBeUndefined();
});

test('a subgraph is asked to compress where the gateway is set to', async () => {
  const url = await serve((incoming, response) => {
    const isAsked = incoming.headers['accept-encoding'] === 'gzip, br, deflate';
    (isAsked ? compressed('br', brotliCompressSync(text)) : good)(incoming, response);
  });
  expect((await subgraphAt(url, 5_000, true).fetch(request())).data).toEqual({ device: { id: 'd' } });
});

test('a coding that the gateway does not read is a fault of the subgraph: asking again would not help', async () => {
  const url = await serve(compressed('zstd', Buffer.from(text)));
  await expect(fetchFrom(url)).rejects.toMatchObject({
    message: expect.stringContaining('content-encoding "zstd"') as string,
    extensions: { code: 'INTERNAL_SERVER_ERROR', serviceName: 'device' },
  });
});

test('an answer that would inflate beyond what an answer may be long is given up', async () => {
  const url = await serve(compressed('gzip', gzipSync(Buffer.alloc(70_000_000, ' '))));
  await expect(fetchFrom(url)).rejects.toMatchObject(unavailable);
});

test('a byte order mark before the JSON is passed over', async () => {
  const url = await serve((_request, response) => void response.end(`\ufeff${text}`));
  expect((await fetchFrom(url)).data).toEqual({ device: { id: 'd' } });
});

test('errors are read as errors, whatever they are', async () => {
  const errors = [
    5,
    null,
    { message: 7, path: [{}, null, 'zzz', 1.5], extensions: 'none', locations: [1, { line: 1, column: 2 }] },
    { message: 'whole', path: ['device', 0, 'id'], extensions: { code: 'X' } },
  ];
  const url = await serve(
    (_request, response) => void response.end(JSON.stringify({ data: { device: null }, errors })),
  );
  expect((await fetchFrom(url)).errors).toEqual([
    { message: 'The subgraph "device" failed.' },
    { message: 'The subgraph "device" failed.' },
    { message: 'The subgraph "device" failed.', locations: [{ line: 1, column: 2 }] },
    { message: 'whole', path: ['device', 0, 'id'], extensions: { code: 'X' } },
  ]);
});

test('reads the first of very many errors, and reports how many more there are', async () => {
  const errors = Array.from({ length: 1_500 }, () => ({ message: 'one of many' }));
  const url = await serve((_request, response) => void response.end(JSON.stringify({ errors })));
  const answered = (await fetchFrom(url)).errors ?? [];
  expect(answered).toHaveLength(1_001);
  expect(answered.at(-1)?.message).toBe('The subgraph "device" told 500 more errors.');
});

test.each([
  [401, 'UNAUTHENTICATED'],
  [403, 'FORBIDDEN'],
  [429, 'RATE_LIMITED'],
  [502, 'UNAVAILABLE'],
  [503, 'UNAVAILABLE'],
  [504, 'UNAVAILABLE'],
  [400, undefined],
  [500, undefined],
])('errors without a code that clients know mean what the status %i says', async (status, code) => {
  const errors = [
    { message: 'no code' },
    { message: 'of a library', extensions: { code: 'INTERNAL_SERVER_ERROR' } },
    { message: 'ours', extensions: { code: 'NOT_FOUND' } },
  ];
  const url = await serve((_request, response) => void response.writeHead(status).end(JSON.stringify({ errors })));
  const answered = (await fetchFrom(url)).errors ?? [];
  expect(answered.map(({ refusal }) => refusal?.code)).toEqual([code, code, undefined]);
});

test('a request that is refused with a reason is answered with that', async () => {
  const errors = [{ message: 'no such field', extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }];
  const url = await serve((_request, response) => void response.writeHead(400).end(JSON.stringify({ errors })));
  expect(await fetchFrom(url)).toEqual({ errors });
});

test.each<[string, (attempt: number) => RequestListener]>([
  ['the connection breaks', (attempt) => (attempt === 1 ? (incoming) => incoming.socket.destroy() : good)],
  [
    'a proxy has lost what is behind it',
    (attempt) => (attempt === 1 ? (_r, response) => void response.writeHead(503).end() : good),
  ],
])('what only reads is asked for once more when %s; what writes is not', async (_what, listenerOf) => {
  let attempts = 0;
  const url = await serve((incoming, response) => {
    attempts += 1;
    listenerOf(attempts)(incoming, response);
  });
  expect((await fetchFrom(url)).data).toEqual({ device: { id: 'd' } });
  expect(attempts).toBe(2);
  attempts = 0;
  await expect(fetchFrom(url, { isMutation: true })).rejects.toMatchObject(unavailable);
  expect(attempts).toBe(1);
});

test('all attempts together have one deadline', async () => {
  let attempts = 0;
  const url = await serve((_request, response) => {
    attempts += 1;
    if (attempts === 1) setTimeout(() => response.writeHead(503).end(), 100);
  });
  const startedAt = performance.now();
  await expect(fetchFrom(url, {}, 200)).rejects.toMatchObject(unavailable);
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(attempts).toBe(2);
});

/** A subgraph that counts, and answers when it is told to. */
async function heldSubgraph() {
  const held: (() => void)[] = [];
  let ended = 0;
  const url = await serve((incoming, response) => {
    response.once('close', () => {
      if (!response.writableFinished) ended += 1;
    });
    held.push(() => good(incoming, response));
  });
  return { url, subgraph: subgraphAt(url), held, ended: () => ended };
}

test('who asks for the same under the same authority at the same time shares one request, and has an answer of its own', async () => {
  const { subgraph, held } = await heldSubgraph();
  const same = [subgraph.fetch(request()), subgraph.fetch(request())];
  const other = subgraph.fetch(request({ authorization: 'Bearer other' }));
  await eventually(() => expect(held).toHaveLength(2));
  for (const answer of held) answer();
  const [one, two] = await Promise.all(same);
  await other;
  expect(one).toEqual(two);
  expect(one?.data).not.toBe(two?.data);
  expect(held).toHaveLength(2);
});

test('mutations are never shared, and nobody joins a read that was begun before one ended', async () => {
  const { subgraph, held } = await heldSubgraph();
  const before = subgraph.fetch(request());
  await eventually(() => expect(held).toHaveLength(1));
  const mutations = [subgraph.fetch(request({ isMutation: true })), subgraph.fetch(request({ isMutation: true }))];
  await eventually(() => expect(held).toHaveLength(3));
  held.splice(1, 1)[0]?.();
  await Promise.race(mutations);
  const after = subgraph.fetch(request());
  await eventually(() => expect(held).toHaveLength(3));
  for (const answer of held) answer();
  await Promise.all([before, after, ...mutations]);
});

test('a request ends when the last who waits for it has gone, not earlier', async () => {
  const { subgraph, held, ended } = await heldSubgraph();
  const [first, second] = [new AbortController(), new AbortController()];
  const one = subgraph.fetch(request({ signal: first.signal }));
  const two = subgraph.fetch(request({ signal: second.signal }));
  await eventually(() => expect(held).toHaveLength(1));
  first.abort(new Error('first has gone'));
  await expect(one).rejects.toThrow('first has gone');
  expect(ended()).toBe(0);
  second.abort(new Error('second has gone'));
  await expect(two).rejects.toThrow('second has gone');
  await eventually(() => expect(ended()).toBe(1));
});

test('a subgraph that moves is asked where it is now, and what is under way where it was ends there', async () => {
  const old = await heldSubgraph();
  let url = old.url;
  const metrics = createGatewayMetrics(new Registry());
  const subgraphs = createSubgraphs({ urls: { device: () => url }, metrics, log: silentLog });
  opened.push(subgraphs);
  const subgraph = subgraphs.of('device');
  const before = subgraph.fetch(request());
  await eventually(() => expect(old.held).toHaveLength(1));
  url = await serve((_request, response) => void response.end('{"data":{"device":{"id":"moved"}}}'));
  expect((await subgraph.fetch(request({ authorization: 'Bearer other' }))).data).toEqual({ device: { id: 'moved' } });
  old.held[0]?.();
  expect((await before).data).toEqual({ device: { id: 'd' } });
  expect(old.held).toHaveLength(1);
});
