/** Apollo's multipart protocol: what comes, who is let in, and how it ends. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import { openStream, partsIn, update, watch, type OpenedStream, type StreamCall } from './stream-world.js';

const accept = 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0, application/json';
let world: GatewayWorld;
const opened: OpenedStream[] = [];
beforeAll(async () => {
  world = await startGateway();
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(async () => {
  for (const stream of opened.splice(0)) stream.leave();
  await eventually(() => expect(world.subgraphs.live.open).toEqual([]));
});

async function open(call: Partial<StreamCall> = {}): Promise<OpenedStream> {
  const stream = await openStream(world, { accept, query: watch, ...call });
  opened.push(stream);
  return stream;
}
const payloads = (stream: OpenedStream) =>
  partsIn(stream.text()).filter((part) => Object.hasOwn(part as object, 'payload')) as {
    payload: object | null;
    errors?: { extensions: { code: string } }[];
  }[];
const isListening = () => eventually(() => expect(world.subgraphs.live.open).toHaveLength(1));
const isLive = (stream: OpenedStream) =>
  eventually(() => {
    world.subgraphs.live.push(update(1));
    expect(payloads(stream).length).toBeGreaterThan(0);
  });

test('each payload is a part, and is whole for its client without another to follow', async () => {
  const stream = await open();
  expect(stream.status).toBe(200);
  expect(stream.headers.get('content-type')).toBe('multipart/mixed;boundary="graphql";subscriptionSpec=1.0');
  await isListening();
  await isLive(stream);
  world.subgraphs.live.push(update(2));
  await eventually(() =>
    expect(payloads(stream).at(-1)).toEqual({
      payload: { data: { deviceState: { cursor: 'cursor-2', device: { name: 'Boiler 1' } } } },
    }),
  );
});

test('a stream that is at its end closes the last boundary', async () => {
  const stream = await open({ query: 'subscription { fleet { cursor } }' });
  await isListening();
  world.subgraphs.live.open[0]?.end();
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(stream.text().endsWith('\r\n--graphql--\r\n')).toBe(true);
  expect(payloads(stream)).toEqual([]);
});

test('a query is answered with JSON', async () => {
  const stream = await open({ query: '{ device(id: "boiler") { name } }' });
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(stream.headers.get('content-type')).toContain('application/json');
  expect(JSON.parse(stream.text())).toEqual({ data: { device: { name: 'Boiler 1' } } });
});

test.each([
  ['an unknown field', 'subscription { nothing }', {}, 400, 'BAD_USER_INPUT'],
  [
    'a variable of the wrong type',
    'subscription S($id: ID!) { deviceState(deviceId: $id) { cursor } }',
    { id: {} },
    400,
    'BAD_USER_INPUT',
  ],
])('%s is a status and JSON', async (_what, query, variables, status, code) => {
  const stream = await open({ query, variables });
  expect(stream.status).toBe(status);
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(JSON.parse(stream.text())).toMatchObject({ errors: [{ extensions: { code } }] });
});

test('with a bad token the status is 401, and nothing begins', async () => {
  const before = world.subgraphs.live.opened.length;
  const stream = await open({ token: 'nonsense' });
  expect(stream.status).toBe(401);
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(JSON.parse(stream.text())).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  expect(world.subgraphs.live.opened.length).toBe(before);
});

test('a request that any page can send begins nothing', async () => {
  const before = world.subgraphs.live.opened.length;
  const stream = await open({ headers: { 'content-type': 'text/plain' } });
  expect(stream.status).toBe(400);
  expect(world.subgraphs.live.opened.length).toBe(before);
});

test('when the token expires, the stream fails with the cursor to go on from', async () => {
  const stream = await open({ token: await world.issuer.token('acme', undefined, 2) });
  await isListening();
  await isLive(stream);
  await eventually(() => expect(stream.hasEnded()).toBe(true));
  expect(payloads(stream).at(-1)).toMatchObject({
    payload: null,
    errors: [{ extensions: { code: 'UNAUTHENTICATED', cursor: 'cursor-1' } }],
  });
  expect(stream.text().endsWith('\r\n--graphql--\r\n')).toBe(true);
});

test('an empty part keeps an idle stream open', { timeout: 30_000 }, async () => {
  const stream = await open();
  await eventually(() => expect(partsIn(stream.text())).toContainEqual({}));
});

test('a stop of the gateway ends the streams at once, and tells their clients to come again', async () => {
  const stopping = await startGateway();
  try {
    const stream = await openStream(stopping, { accept, query: watch });
    const events = await openStream(stopping, { accept: 'text/event-stream', query: watch });
    await eventually(() => expect(stopping.subgraphs.live.open).toHaveLength(1));
    const startedAt = performance.now();
    await stopping.gateway.stop();
    expect(performance.now() - startedAt).toBeLessThan(2_500);
    await eventually(() => expect(stream.hasEnded() && events.hasEnded()).toBe(true));
    expect(partsIn(stream.text()).at(-1)).toMatchObject({
      payload: null,
      errors: [{ extensions: { code: 'UNAVAILABLE' } }],
    });
    // An EventSource comes again unless it is told that there is no more.
    expect(events.text()).not.toContain('complete');
  } finally {
    await stopping[Symbol.asyncDispose]();
  }
});

test('a tenant has no more streams than its limit, and gets its place back', async () => {
  const small = await startGateway({ settings: { GATEWAY_MAX_CONNECTIONS_PER_TENANT: '1' } });
  try {
    const first = await openStream(small, { accept, query: watch });
    expect((await openStream(small, { accept, query: watch })).status).toBe(429);
    const other = await openStream(small, { accept, query: watch, token: await small.issuer.token('rival') });
    expect(other.status).toBe(200);
    first.leave();
    await eventually(async () => {
      const again = await openStream(small, { accept, query: watch });
      const { status } = again;
      again.leave();
      expect(status).toBe(200);
    });
    other.leave();
  } finally {
    await small[Symbol.asyncDispose]();
  }
});
