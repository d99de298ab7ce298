import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { FleetgraphError } from '../../../platform/errors.js';
import { eventually } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import type { ProtocolClient } from '../protocol-client.js';

let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway();
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
});
afterAll(() => world[Symbol.asyncDispose]());
afterEach(() => world.disconnect());

const update = (version: number, more: object = {}) => ({
  cursor: `cursor-${version}`,
  snapshot: false,
  device: { id: 'boiler' },
  state: { version, updatedAt: new Date(0), metrics: [] },
  presence: { online: true, lastSeen: null },
  ...more,
});
const watch = 'subscription { deviceState(deviceId: "boiler") { cursor device { name } } }';
const subscriptions = () => world.metric('fleetgraph_gateway_subscriptions');
const fetches = () => world.subgraphs.seen.filter(({ subgraph }) => subgraph === 'device').length;
const cursors = (client: ProtocolClient, id = 's') =>
  client.payloads(id).map(({ data }) => (Object.values(data ?? {})[0] as { cursor: string }).cursor);

async function watchers(count: number, query: string = watch): Promise<ProtocolClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => world.socket()));
  for (const client of clients) client.subscribe('s', query);
  await eventually(async () => expect(await subscriptions()).toBe(count));
  await eventually(() => expect(world.subgraphs.live.open).toHaveLength(1));
  return clients;
}

test('a hundred clients that want the same cost one stream, and at most one join for each event', async () => {
  const clients = await watchers(100);
  const before = fetches();
  let pushed = 1;
  // Everyone has caught up when everyone gets the same payload.
  await eventually(() => {
    pushed += 1;
    world.subgraphs.live.push(update(1));
    for (const client of clients) expect(client.payloads('s').length).toBeGreaterThan(0);
  });
  world.subgraphs.live.push(update(2));
  await Promise.all(
    clients.map((client) =>
      eventually(() => expect(cursors(client).filter((one) => one === 'cursor-2')).toHaveLength(1)),
    ),
  );
  expect(fetches() - before).toBeGreaterThan(0);
  expect(fetches() - before).toBeLessThanOrEqual(pushed);
  expect(await world.metric('fleetgraph_gateway_shared_streams')).toBe(1);
});

test('whoever leaves, the first or the last to come, the others go on; with the last the stream ends', async () => {
  const clients = await watchers(3);
  const [first, second, third] = clients;
  await eventually(() => {
    world.subgraphs.live.push(update(1));
    for (const client of clients) expect(client.payloads('s').length).toBeGreaterThan(0);
  });
  first?.socket.terminate();
  third?.complete('s');
  await eventually(async () => expect(await subscriptions()).toBe(1));
  world.subgraphs.live.push(update(2));
  await eventually(() => expect(second && cursors(second)).toContain('cursor-2'));
  expect(world.subgraphs.live.open).toHaveLength(1);
  second?.complete('s');
  await eventually(() => expect(world.subgraphs.live.open).toEqual([]));
  expect(await world.metric('fleetgraph_gateway_shared_streams')).toBe(0);
});

test('who may see less has a stream of its own, and is refused there', async () => {
  const [allowed] = await watchers(1);
  const other = await world.socket({ scopes: ['device:read'] });
  other.subscribe('s', watch);
  expect((await other.error('s'))[0]?.extensions).toEqual({ code: 'FORBIDDEN' });
  world.subgraphs.live.push(update(1));
  await allowed?.payload('s');
});

test('a stream outlives the token that it began with, as long as one of its clients has a good one', async () => {
  const short = await world.socket({ lifetimeSeconds: 2 });
  short.subscribe('s', watch);
  await eventually(() => expect(world.subgraphs.live.open).toHaveLength(1));
  world.subgraphs.live.push(update(1));
  await short.payload('s');
  const long = await world.socket();
  long.subscribe('s', watch);
  await eventually(async () => expect(await subscriptions()).toBe(2));
  expect((await short.closed).code).toBe(4403);
  expect(await world.metric('fleetgraph_gateway_subscriptions_ended_total', 'expired')).toBeGreaterThan(0);
  await eventually(() => {
    const resumed = world.subgraphs.live.open.at(-1);
    expect(resumed?.args).toMatchObject({ since: expect.any(String) as string });
  });
  world.subgraphs.live.push(update(2));
  await eventually(() => expect(cursors(long)).toContain('cursor-2'));
  expect(long.types('s')).not.toContain('error');
});

test.each(['UNAVAILABLE', 'LAGGED'] as const)(
  'a stream that the subgraph ends with %s is followed again from its last event, and clients notice nothing',
  async (code) => {
    const [client] = await watchers(1);
    if (!client) throw new Error('no client');
    world.subgraphs.live.push(update(1));
    await eventually(() => expect(cursors(client)).toContain('cursor-1'));
    world.subgraphs.live.open[0]?.end(new FleetgraphError(code, 'It goes on behind the last event.'));
    await eventually(() => expect(world.subgraphs.live.open.at(-1)?.args).toMatchObject({ since: 'cursor-1' }));
    world.subgraphs.live.push(update(2));
    await eventually(() => expect(cursors(client)).toContain('cursor-2'));
    expect(client.types('s')).not.toContain('error');
  },
);

test('a client may send a new token in a ping: its connection and its streams go on', async () => {
  const client = await world.socket({ lifetimeSeconds: 3 });
  client.subscribe('s', watch);
  await eventually(() => expect(world.subgraphs.live.open).toHaveLength(1));
  world.subgraphs.live.push(update(1));
  await client.payload('s');
  const token = await world.issuer.token('acme');
  client.send({ type: 'ping', payload: { authorization: `Bearer ${token}` } });
  await eventually(() => expect(client.frames).toContainEqual(expect.objectContaining({ type: 'pong' })));
  expect(client.frames.find(({ type }) => type === 'pong')?.payload).toEqual({
    authorized: true,
    expiresAt: expect.any(String) as string,
  });
  // The first token ends; the stream is taken up again with the second.
  await eventually(() => expect(world.subgraphs.live.open.at(-1)?.args).toMatchObject({ since: 'cursor-1' }), 8_000);
  world.subgraphs.live.push(update(2));
  await eventually(() => expect(cursors(client)).toEqual(['cursor-1', 'cursor-2']));
  expect(client.socket.readyState).toBe(client.socket.OPEN);
});

test('with a new token that allows less, what it does not allow ends; a token of somebody else ends the connection', async () => {
  const client = await world.socket();
  client.subscribe('s', watch);
  await eventually(() => expect(world.subgraphs.live.open).toHaveLength(1));
  world.subgraphs.live.push(update(1));
  await client.payload('s');
  const less = await world.issuer.token('acme', ['device:read']);
  client.send({ type: 'ping', payload: { token: less } });
  expect((await client.error('s'))[0]?.extensions).toEqual({ code: 'FORBIDDEN' });
  client.send({ type: 'ping', payload: { token: await world.issuer.token('rival') } });
  expect((await client.closed).code).toBe(4403);
});

/** More than the kernel holds for a socket that is not read. */
const bulk = 'x'.repeat(100_000);
const states = 'subscription { deviceStates { cursor state { metrics { name value } } } }';
const large = (version: number, place: object) =>
  update(version, {
    state: { version, updatedAt: new Date(0), metrics: [{ name: 'bulk', value: bulk, at: new Date(0) }] },
    place: { cursor: `cursor-${version}`, position: String(version), ...place },
  });

test('a client that does not read is sent the latest state when it does; the others are not delayed', async () => {
  const [slow, quick] = await watchers(2, states);
  if (!slow || !quick) throw new Error('no clients');
  await eventually(() => {
    world.subgraphs.live.push(large(1, { key: 'boiler', position: undefined }));
    for (const client of [slow, quick]) expect(client.payloads('s').length).toBeGreaterThan(0);
  });
  slow.socket.pause();
  const count = 300;
  for (let version = 2; version <= count; version += 1) {
    world.subgraphs.live.push(large(version, { key: 'boiler' }));
    // The quick one has each of them, whatever the slow one does.
    await eventually(() => expect(cursors(quick)).toContain(`cursor-${version}`));
  }
  expect(await world.metric('fleetgraph_gateway_subscription_conflated_total')).toBeGreaterThan(0);
  slow.socket.resume();
  await eventually(() => expect(cursors(slow).at(-1)).toBe(`cursor-${count}`));
  expect(new Set(cursors(slow)).size).toBeLessThan(count);
  expect(slow.types('s')).not.toContain('error');
}, 60_000);

test('a client that does not read a stream of facts is told so, with the cursor behind which nothing is lost', async () => {
  const [slow, quick] = await watchers(2, states);
  if (!slow || !quick) throw new Error('no clients');
  await eventually(() => {
    world.subgraphs.live.push(large(1, { position: undefined }));
    for (const client of [slow, quick]) expect(client.payloads('s').length).toBeGreaterThan(0);
  });
  slow.socket.pause();
  let version = 1;
  await eventually(async () => {
    version += 1;
    world.subgraphs.live.push(large(version, {}));
    expect(await subscriptions()).toBe(1);
  }, 60_000);
  slow.socket.resume();
  const [error] = await slow.error('s');
  expect(error?.extensions).toEqual({ code: 'LAGGED', cursor: cursors(slow).at(-1) });
  // Without a hole up to there.
  const versions = cursors(slow).map((cursor) => Number(cursor.slice('cursor-'.length)));
  const distinct = [...new Set(versions)];
  expect(distinct).toEqual(Array.from({ length: distinct.length }, (_unused, index) => index + 1));
  await eventually(() => expect(cursors(quick)).toContain(`cursor-${version}`));
  expect(quick.types('s')).not.toContain('error');
}, 90_000);
