/** GraphQL over Server-Sent Events: what comes, who is let in, and how it ends. */
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import { eventsIn, openStream, update, watch, type OpenedStream, type StreamCall } from './stream-world.js';

let world: GatewayWorld;
const opened: OpenedStream[] = [];
beforeAll(async () => {
  world = await startGateway();
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(async () => {
  for (const stream of opened.splice(0)) stream.leave();
  world.subgraphs.live.refusal = undefined;
  await eventually(() => expect(world.subgraphs.live.open).toEqual([]));
});

async function open(call: Partial<StreamCall> = {}): Promise<OpenedStream> {
  const stream = await openStream(world, { accept: 'text/event-stream', query: watch, ...call });
  opened.push(stream);
  return stream;
}
const events = (stream: OpenedStream) => eventsIn(stream.text());
const results = (stream: OpenedStream) =>
  events(stream)
    .filter(({ event }) => event === 'next')
    .map(({ data }) => JSON.parse(data) as { data?: object; errors?: { extensions: { code: string } }[] });
const isListening = () => eventually(() => expect(world.subgraphs.live.open).toHaveLength(1));
/** Pushes until the stream, which may still catch up, has got something. */
const isLive = (stream: OpenedStream) =>
  eventually(() => {
    world.subgraphs.live.push(update(1));
    expect(results(stream).length).toBeGreaterThan(0);
  });

test('each payload is an event with the cursor of its payload as id', async () => {
  const stream = await open();
  expect(stream.status).toBe(200);
  expect(stream.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(stream.headers.get('cache-control')).toBe('no-cache');
  expect(stream.headers.get('x-accel-buffering')).toBe('no');
  await isListening();
  await isLive(stream);
  world.subgraphs.live.push(update(2));
  await eventually(() => expect(events(stream).at(-1)?.id).toBe('cursor-2'));
  const last = events(stream).at(-1);
  expect(last?.event).toBe('next');
  expect(JSON.parse(last?.data ?? '')).toEqual({
    data: { deviceState: { cursor: 'cursor-2', device: { name: 'Boiler 1' } } },
  });
  expect(stream.hasEnded()).toBe(false);
});

test('clients are told to come again after some seconds, not all after as many', async () => {
  const waits = new Set<number>();
  for (let streams = 0; streams < 8; streams += 1) {
    const stream = await open();
    await eventually(() => expect(stream.text()).toMatch(/^retry: \d+\n:\n\n/));
    waits.add(Number(/^retry: (\d+)/.exec(stream.text())?.[1]));
  }
  for (const wait of waits) expect(wait).toBeGreaterThanOrEqual(1_000);
  for (const wait of waits) expect(wait).toBeLessThanOrEqual(5_000);
  expect(waits.size).toBeGreaterThan(1);
});

test('a stream that is at its end says complete, with empty data', async () => {
  const stream = await open({ query: 'subscription { fleet { cursor } }' });
  await isListening();
  world.subgraphs.live.open[0]?.end();
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(stream.text().endsWith('event: complete\ndata: \n\n')).toBe(true);
});

test('a client that comes again goes on behind the id of the last event that it saw', async () => {
  const token = await world.issuer.token('acme', undefined, 1);
  const resumed = await open({ method: 'GET', token, headers: { 'last-event-id': 'cursor-41' } });
  // Nothing came: where it ends is where it began.
  await eventually(() =>
    expect(results(resumed).at(-1)?.errors?.[0]?.extensions).toEqual({ code: 'UNAUTHENTICATED', cursor: 'cursor-41' }),
  );
  const stream = await open({ headers: { 'last-event-id': 'x'.repeat(600) } });
  expect(stream.status).toBe(400);
});

test.each(['GET', 'POST'] as const)('a query by %s is one event and complete', async (method) => {
  const stream = await open({
    method,
    query: 'query Q($id: ID!) { device(id: $id) { name } }',
    variables: { id: 'boiler' },
  });
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(events(stream).map(({ event }) => event)).toEqual(['next', 'complete']);
  expect(results(stream)).toEqual([{ data: { device: { name: 'Boiler 1' } } }]);
});

test('a mutation by POST runs, by GET it does not', async () => {
  const query = 'mutation { updateDevice(input: { id: "boiler", name: "Boiler 1" }) { consistencyToken } }';
  const posted = await open({ query });
  await eventually(() => expect(posted.hasEnded()).toBe(true));
  expect(results(posted)).toEqual([{ data: { updateDevice: { consistencyToken: 'after-update' } } }]);
  world.subgraphs.seen.length = 0;
  const got = await open({ query, method: 'GET' });
  await eventually(() => expect(got.hasEnded()).toBe(true));
  expect(results(got)[0]?.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
  expect(world.subgraphs.seen).toEqual([]);
});

test.each([
  ['a syntax error', 'subscription {', {}],
  ['an unknown field', 'subscription { nothing }', {}],
  ['a variable of the wrong type', 'subscription S($id: ID!) { deviceState(deviceId: $id) { cursor } }', { id: {} }],
])('%s is told in the stream, as the protocol says', async (_what, query, variables) => {
  const stream = await open({ query, variables });
  expect(stream.status).toBe(200);
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(events(stream).map(({ event }) => event)).toEqual(['next', 'complete']);
  expect(results(stream)[0]?.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT' });
});

test('a defect in a subgraph is told without what it was', async () => {
  world.subgraphs.live.refusal = new Error('password=secret');
  const stream = await open();
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(results(stream).at(-1)?.errors).toHaveLength(1);
  expect(stream.text()).not.toContain('secret');
});

test.each([
  ['no token', undefined],
  ['a bad token', 'nonsense'],
])('with %s the status is 401, and nothing begins', async (_what, token) => {
  const before = world.subgraphs.live.opened.length;
  const stream = await open({ token });
  expect(stream.status).toBe(401);
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(JSON.parse(stream.text())).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  expect(world.subgraphs.live.opened.length).toBe(before);
});

test.each([
  ['POST', 'text/plain'],
  ['POST', 'application/x-www-form-urlencoded'],
  ['GET', 'text/plain'],
] as const)('a %s of %s, as any page can send it, begins nothing', async (method, type) => {
  const before = world.subgraphs.live.opened.length;
  const stream = await open({ method, headers: { 'content-type': type } });
  expect(stream.status).toBe(400);
  expect(world.subgraphs.live.opened.length).toBe(before);
});

test('a GET needs a content type, or a header that no page can set unasked', async () => {
  const url = `${world.url}/graphql?${new URLSearchParams({ query: '{ fleet { devices } }' }).toString()}`;
  const headers = { accept: 'text/event-stream', authorization: `Bearer ${await world.issuer.token('acme')}` };
  const refused = await fetch(url, { headers });
  expect(refused.status).toBe(400);
  expect(await refused.text()).toContain('CSRF');
  const answered = await fetch(url, { headers: { ...headers, 'apollo-require-preflight': 'yes' } });
  expect(answered.status).toBe(200);
  expect(await answered.text()).toContain('event: complete');
});

test('who prefers JSON gets it for a query, and a stream for a subscription', async () => {
  const accept = 'application/json, text/event-stream;q=0.5';
  const query = await open({ accept, query: '{ device(id: "boiler") { name } }' });
  expect(query.headers.get('content-type')).toContain('application/json');
  const subscription = await open({ accept });
  expect(subscription.headers.get('content-type')).toContain('text/event-stream');
});

test('when the token expires, the stream says so and ends', async () => {
  const stream = await open({ token: await world.issuer.token('acme', undefined, 2) });
  await isListening();
  await isLive(stream);
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(results(stream).at(-1)?.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
  expect(events(stream).at(-1)?.event).toBe('complete');
  expect(await world.metric('fleetgraph_gateway_subscriptions')).toBe(0);
  expect(await world.metric('fleetgraph_gateway_subscriptions_ended_total', 'expired')).toBeGreaterThan(0);
});

test('when the client goes, its subscription ends', async () => {
  const stream = await open();
  await isListening();
  stream.leave();
  await eventually(async () => expect(await world.metric('fleetgraph_gateway_subscriptions')).toBe(0));
  await eventually(() => expect(world.subgraphs.live.open).toEqual([]));
});

test('a client that reads nothing is told the latest when it reads again, and not what became obsolete', async () => {
  const token = await world.issuer.token('acme');
  const body = JSON.stringify({ query: 'subscription { deviceState(deviceId: "boiler") { cursor } }' });
  const { port, hostname } = new URL(world.url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  try {
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: gateway\r\nAccept: text/event-stream\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await eventually(() => {
      world.subgraphs.live.push(update(1));
      expect(text).toContain('cursor-1');
    });
    socket.pause();
    const large = 'x'.repeat(200_000);
    const [stream] = world.subgraphs.live.open;
    let sent = 1;
    await eventually(async () => {
      sent += 1;
      const place = { position: String(sent), cursor: `place-${sent}`, key: 'boiler' };
      stream?.push({ ...update(sent), cursor: `${large}-${sent}.`, place });
      expect(await world.metric('fleetgraph_gateway_subscription_conflated_total')).toBeGreaterThan(5);
    });
    socket.resume();
    await eventually(() => expect(text).toContain(`-${sent}.`));
    expect(text.split('event: next').length - 1).toBeLessThan(sent);
  } finally {
    socket.destroy();
  }
});

test('a comment keeps an idle stream open', { timeout: 40_000 }, async () => {
  const stream = await open();
  await eventually(() => expect(stream.text().split(':\n\n').length).toBeGreaterThan(2), 20_000);
});

test('a page of an origin that may read the API may read its streams, another may not', async () => {
  const known = await open({ headers: { origin: 'http://localhost:3000' } });
  expect(known.headers.get('access-control-allow-origin')).toBe('http://localhost:3000');
  const foreign = await open({ headers: { origin: 'https://elsewhere.example' } });
  expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
});
