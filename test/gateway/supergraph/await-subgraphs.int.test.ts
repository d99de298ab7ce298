/** What counts as the answer of a subgraph, on servers that give every other kind first. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { awaitSubgraphs, type SubgraphsAwaited } from '../../../gateway/supergraph/await-subgraphs.js';
import { silentLog } from '../../world/database.js';
import { eventually, within } from '../../world/eventually.js';

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Scripted {
  readonly url: string;
  /** How often it has been asked. */
  asked(): number;
  answer(listener: RequestListener): void;
  close(): Promise<void>;
}

/** A server that answers as the test says. */
async function serve(first: RequestListener, port = 0): Promise<Scripted> {
  let listener = first;
  let asked = 0;
  const server: Server = createServer((request, response) => {
    asked += 1;
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  cleanUps.push(close);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    asked: () => asked,
    answer: (next) => (listener = next),
    close,
  };
}

function wait(urls: Readonly<Record<string, string>>): SubgraphsAwaited {
  const awaited = awaitSubgraphs({ urls, log: silentLog, attemptTimeoutMs: 200, maxPauseMs: 40 });
  cleanUps.push(() => awaited.stop());
  return awaited;
}

const send =
  (status: number, type: string, body: string): RequestListener =>
  (_request, response) =>
    response.writeHead(status, { 'content-type': type }).end(body);
const json = 'application/json; charset=utf-8';
const good = send(200, json, '{"data":{"__typename":"Query"}}');
const hang: RequestListener = () => undefined;

test.each<[string, RequestListener]>([
  ['data', good],
  ['data, as application/graphql-response+json', send(200, 'application/graphql-response+json', '{"data":{}}')],
  ['the refusal of a request without a token', send(401, json, '{"errors":[{"message":"Send a token."}]}')],
])('a subgraph that answers with %s is there at the first try', async (_what, listener) => {
  const awaited = wait({ device: (await serve(listener)).url });
  await awaited.asked;
  expect(() => awaited.check()).not.toThrow();
});

test.each<[string, RequestListener, RegExp]>([
  ['does not answer', hang, /no answer within 200 ms/],
  [
    'stops in the middle of its answer',
    (_request, response) => response.writeHead(200, { 'content-type': json }).write('{"data":'),
    /no answer within 200 ms/,
  ],
  ['answers HTML', send(200, 'text/html', '<h1>Welcome</h1>'), /answers 200 with text\/html, not GraphQL/],
  ['has a balancer without servers in front', send(503, json, '{"errors":[]}'), /answers 503 with application\/json/],
  ['answers JSON of something else', send(404, json, '{"error":{"code":"NOT_FOUND"}}'), /404 with JSON that is not/],
  ['answers null', send(200, json, 'null'), /JSON that is not GraphQL/],
  ['answers what is no JSON', send(200, json, '{"data":'), /cut off or malformed/],
  [
    'leads elsewhere',
    (_request, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    /answers 302 with no content type/,
  ],
  ['breaks the connection', (request) => request.socket.destroy(), /UND_ERR_SOCKET|ECONNRESET/],
])('a subgraph that %s is waited for, with that reason, until it answers', async (_what, listener, reason) => {
  const subgraph = await serve(listener);
  const awaited = wait({ device: subgraph.url });
  await awaited.asked;
  expect(() => awaited.check()).toThrow(reason);
  expect(() => awaited.check()).toThrow(`"device" at ${subgraph.url}`);
  await eventually(() => expect(subgraph.asked()).toBeGreaterThan(2));
  expect(() => awaited.check()).toThrow(reason);
  subgraph.answer(good);
  await eventually(() => awaited.check());
});

test('each that is missing is named, and nobody else', async () => {
  const [there, slow] = [await serve(good), await serve(hang)];
  const gone = await serve(good);
  await gone.close();
  const awaited = wait({ device: there.url, actions: slow.url, query: gone.url });
  await awaited.asked;
  expect(() => awaited.check()).toThrow(
    `waiting for the first answer of the subgraph "actions" at ${slow.url} (no answer within 200 ms), and of "query" at ${gone.url} (ECONNREFUSED)`,
  );
});

test('a subgraph that has answered is not asked again, and its death changes nothing', async () => {
  const [first, second] = [await serve(good), await serve(send(200, 'text/html', ''))];
  const awaited = wait({ device: first.url, actions: second.url });
  await eventually(() => expect(second.asked()).toBeGreaterThan(3));
  expect(first.asked()).toBe(1);
  await first.close();
  second.answer(good);
  await eventually(() => awaited.check());
  const asked = second.asked();
  second.answer(hang);
  // Longer than three pauses: whoever still asked would be seen.
  const later = await serve(send(200, 'text/html', ''));
  wait({ query: later.url });
  await eventually(() => expect(later.asked()).toBeGreaterThan(3));
  expect(second.asked()).toBe(asked);
  expect(() => awaited.check()).not.toThrow();
});

test('a stop ends the attempt under way, and there is no other', async () => {
  const [hanging, html] = [await serve(hang), await serve(send(200, 'text/html', ''))];
  const awaited = awaitSubgraphs({ urls: { device: hanging.url, actions: html.url }, log: silentLog });
  cleanUps.push(() => awaited.stop());
  await eventually(() => expect(hanging.asked()).toBe(1));
  // An attempt has 2 s, and a server of Node.js 300 s.
  await within(awaited.stop(), 1_000, 'the stop');
  await awaited.asked;
  const asked = html.asked();
  const other = await serve(hang);
  wait({ query: other.url });
  await eventually(() => expect(other.asked()).toBeGreaterThan(2));
  expect([hanging.asked(), html.asked()]).toEqual([1, asked]);
});

test('a user name and password in an address are not shown', async () => {
  const subgraph = await serve(send(200, 'text/html', ''));
  const awaited = wait({ device: subgraph.url.replace('//', '//someone:secret@') });
  await awaited.asked;
  expect(() => awaited.check()).toThrow(`"device" at ${subgraph.url} (it answers 200`);
});
