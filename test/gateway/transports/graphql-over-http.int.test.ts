/** The specification "GraphQL over HTTP", by the audit of `graphql-http` and beyond it: media types, statuses, methods, hashes. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import type { Payload } from '../protocol-client.js';

let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.subgraphs.failures.clear();
  world.subgraphs.seen.length = 0;
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
});

const modern = 'application/graphql-response+json';
const bearer = async () => ({ authorization: `Bearer ${await world.issuer.token('acme')}` });

async function post(body: unknown, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(await bearer()), ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, answer: (await response.json()) as Payload };
}

const audits = serverAudits({
  url: () => `${world.url}/graphql`,
  fetchFn: async (url: string, init: RequestInit = {}) =>
    fetch(url, { ...init, headers: { ...(init.headers as Record<string, string>), ...(await bearer()) } }),
});

test('there are 61 audits', () => {
  expect(audits).toHaveLength(61);
});

test.each(audits)('audit $id: $name', async ({ fn }) => {
  expect((await fn()).status).toBe('ok');
});

test('what a tool asks of a development machine without a token passes the audits, too', async () => {
  const results = await Promise.all(serverAudits({ url: `${world.url}/graphql` }).map(({ fn }) => fn()));
  expect(results.filter(({ status }) => status !== 'ok').map(({ id, name }) => `${id} ${name}`)).toEqual([]);
});

test.each([
  [undefined, 'application/json', 400],
  ['*/*', 'application/json', 400],
  ['application/*', 'application/json', 400],
  ['application/json', 'application/json', 200],
  [modern, modern, 400],
  [`${modern}, application/json;q=0.9`, modern, 400],
  [`application/json, ${modern};q=0.9`, 'application/json', 200],
  [`${modern};q=0, application/json`, 'application/json', 200],
  ['text/html, */*;q=0.1', 'application/json', 400],
])('accept: %s is answered with %s, and a field that is not there with %d', async (accept, type, status) => {
  const refused = await post({ query: '{ nothing }' }, accept === undefined ? {} : { accept });
  expect(refused.headers.get('content-type')).toBe(`${type}; charset=utf-8`);
  expect(refused.status).toBe(status);
  expect(refused.answer).not.toHaveProperty('data');
  expect(refused.answer.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
  expect((await post({ query: '{ fleet { devices } }' }, accept === undefined ? {} : { accept })).status).toBe(200);
});

test('a type that the gateway does not write is 406, with a way out', async () => {
  const { status, answer } = await post({ query: '{ fleet { devices } }' }, { accept: 'application/xml' });
  expect(status).toBe(406);
  expect(answer.errors?.[0]?.message).toContain(modern);
});

test('a bad token is 401 in every type: it is the request that is refused, not the operation', async () => {
  for (const accept of ['application/json', modern, '*/*'])
    expect((await post({ query: '{ fleet { devices } }' }, { accept, authorization: 'Bearer no' })).status).toBe(401);
});

test('data that is null, with its errors, is 200', async () => {
  world.subgraphs.failures.set('boiler', new Error('broken'));
  const { status, answer } = await post({ query: '{ device(id: "boiler") { name } }' }, { accept: modern });
  expect(status).toBe(200);
  expect(answer.data).toEqual({ device: null });
});

test('a mutation by GET is 405 and says what is allowed', async () => {
  const mutation = encodeURIComponent(
    'mutation { updateDevice(input: { id: "boiler", name: "x" }) { device { id } } }',
  );
  const response = await fetch(`${world.url}/graphql?query=${mutation}`, { headers: await bearer() });
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
  expect(world.subgraphs.seen).toEqual([]);
});

test('a body in another type than JSON is 415', async () => {
  expect((await post('<query/>', { 'content-type': 'application/xml' })).status).toBe(415);
});

test('a body that is too long is 413 and looks like an error of GraphQL', async () => {
  const { status, answer } = await post({ query: ' '.repeat(5_000_000) });
  expect(status).toBe(413);
  expect(answer.errors?.[0]?.extensions).toEqual({ code: 'PAYLOAD_TOO_LARGE' });
});

test('a subscription that asks for no stream is told how to get one', async () => {
  const { status, answer } = await post({ query: 'subscription { fleet { cursor } }' });
  expect(status).toBe(400);
  expect(answer.errors?.[0]?.message).toContain('text/event-stream');
});

test('a batch is refused as a whole', async () => {
  const { status, answer } = await post([{ query: '{ fleet { devices } }' }]);
  expect(status).toBe(400);
  expect(answer.errors?.[0]?.message).toContain('Batches are not taken');
  expect(world.subgraphs.seen).toEqual([]);
});

test('several operations in a document run by their names, and not without one', async () => {
  const query = 'query A { fleet { devices } } query B { fleet { online } }';
  expect((await post({ query, operationName: 'B' })).answer).toEqual({ data: { fleet: { online: 1 } } });
  expect((await post({ query, operationName: 'A' })).answer).toEqual({ data: { fleet: { devices: 2 } } });
  for (const operationName of [undefined, 'C']) expect((await post({ query, operationName })).status).toBe(400);
});

const hashOf = (text: string) => createHash('sha256').update(text).digest('hex');
const persisted = (sha256Hash: string) => ({ extensions: { persistedQuery: { version: 1, sha256Hash } } });

test('an operation is sent once, and then by its hash alone, also by GET', async () => {
  const query = '{ fleet { online devices } }';
  const unknown = await post(persisted(hashOf(query)));
  expect([unknown.status, unknown.answer]).toEqual([
    200,
    { errors: [{ message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } }] },
  ]);
  const data = { fleet: { online: 1, devices: 2 } };
  expect((await post({ query, ...persisted(hashOf(query)) })).answer).toEqual({ data });
  expect((await post(persisted(hashOf(query)))).answer).toEqual({ data });
  const extensions = JSON.stringify(persisted(hashOf(query)).extensions);
  const response = await fetch(`${world.url}/graphql?${new URLSearchParams({ extensions }).toString()}`, {
    headers: await bearer(),
  });
  expect(await response.json()).toEqual({ data });
});

test('no text gets into the place of another', async () => {
  const [mine, theirs] = ['{ fleet { devices } }', '{ fleet { online } }'];
  const { status, answer } = await post({ query: theirs, ...persisted(hashOf(mine)) });
  expect(status).toBe(400);
  expect(answer.errors?.[0]?.message).toContain('SHA-256');
  expect((await post(persisted(hashOf(mine)))).answer.errors?.[0]?.extensions?.['code']).toBe(
    'PERSISTED_QUERY_NOT_FOUND',
  );
});

test('a client that goes away while it waits leaves the gateway in order', async () => {
  const before = await world.metric('fleetgraph_gateway_requests_total');
  const body = JSON.stringify({ query: '{ fleet { devices } }' });
  const socket = connect(Number(new URL(world.url).port), '127.0.0.1');
  const { authorization } = await bearer();
  socket.write(
    `POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: ${authorization}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await eventually(() => expect(world.subgraphs.seen).toHaveLength(1));
  socket.destroy();
  await eventually(async () => expect(await world.metric('fleetgraph_gateway_requests_total')).toBe(before + 1));
  expect((await post({ query: '{ fleet { devices } }' })).status).toBe(200);
});
