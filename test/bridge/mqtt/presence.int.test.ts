/** What the bus hears of who is connected: every change with its session, so that late news can be told. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '../../../backbone/bus/topics.js';
import { eventually } from '../../world/eventually.js';
import { createBridgeWorld, topicOf, type BridgeWorld } from '../bridge-world.js';

let world: BridgeWorld;
beforeAll(async () => {
  world = await createBridgeWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const presenceOf = async (id: string) =>
  (await world.eventsOf('io.fleetgraph.presence.changed.v1'))
    .filter(({ subject }) => subject === id)
    .map(({ data: { online, reason, session } }) => ({ online, reason, session }));

test('a connection is online, a disconnect offline, of one session; the next session is greater', async () => {
  const device = world.device('polite');
  for (let round = 0; round < 2; round += 1) await (await world.connect(device)).endAsync();
  await eventually(async () => expect(await presenceOf('polite')).toHaveLength(4));
  const [first, firstEnd, second, secondEnd] = await presenceOf('polite');
  expect([first, firstEnd]).toMatchObject([
    { online: true, reason: 'connected' },
    { online: false, reason: 'disconnected' },
  ]);
  expect(firstEnd?.session).toBe(first?.session);
  expect(secondEnd?.session).toBe(second?.session);
  expect(second?.session).toBeGreaterThan(first?.session ?? Infinity);
});

test('a socket that breaks is offline, by its will or without one', async () => {
  for (const [id, will] of [
    ['with-will', true],
    ['without', false],
  ] as const) {
    const device = world.device(id);
    const client = await world.connect(
      device,
      will
        ? {
            will: {
              topic: topicOf(device, 'presence'),
              payload: Buffer.from('{"online": false}'),
              qos: 1,
              retain: false,
            },
          }
        : {},
    );
    client.stream.destroy();
    await eventually(async () => expect((await presenceOf(id)).at(-1)).toMatchObject({ online: false }));
    const [online, ...offline] = await presenceOf(id);
    expect(offline.every(({ session }) => session === online?.session)).toBe(true);
  }
});

test('a connection that takes over from an older one ends online', async () => {
  const device = world.device('twice');
  const first = await world.connect(device);
  const gone = new Promise<void>((resolve) => first.once('close', () => resolve()));
  const second = await world.connect(device);
  await gone;
  await eventually(async () => expect(await presenceOf('twice')).toHaveLength(3));
  const signals = await presenceOf('twice');
  const latest = signals.toSorted((a, b) => a.session - b.session || Number(a.online) - Number(b.online)).at(-1);
  const newest = Math.max(...signals.map(({ session }) => session));
  expect(latest?.online).toBe(true);
  // The end of the first session does not end the second.
  expect(signals.filter(({ session }) => session === newest)).toEqual([
    { online: true, reason: 'connected', session: newest },
  ]);
  expect(await world.metric('fleetgraph_bridge_connected_devices')).toBe(1);
  await second.endAsync();
});

test('connections of one device that take over from each other leave one online, and its end is the end of all', async () => {
  const device = world.device('contested');
  for (let round = 0; round < 5; round += 1) {
    const attempts = await Promise.allSettled(
      Array.from({ length: 12 }, () => world.connect(device, { connectTimeout: 5_000 })),
    );
    const clients = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
    expect(clients.length).toBeGreaterThan(0);
    await eventually(() => expect(clients.filter(({ connected }) => connected)).toHaveLength(1));
    await eventually(async () => {
      const signals = await presenceOf('contested');
      const newest = Math.max(...signals.map(({ session }) => session));
      expect(signals.filter(({ session }) => session === newest).map(({ online }) => online)).toEqual([true]);
      expect(signals.filter(({ online }) => online)).toHaveLength(signals.filter(({ online }) => !online).length + 1);
    });
    expect(await world.metric('fleetgraph_bridge_connected_devices')).toBe(1);
    for (const client of clients) client.stream.destroy();
    await eventually(async () => expect(await world.metric('fleetgraph_bridge_connected_devices')).toBe(0));
    await eventually(async () => {
      const signals = await presenceOf('contested');
      expect(signals.filter(({ online }) => online)).toHaveLength(signals.filter(({ online }) => !online).length);
    });
  }
});

test('a device that says it is offline, or nonsense, is heard or refused', async () => {
  const device = world.device('talkative');
  const client = await world.connect(device);
  await client.publishAsync(topicOf(device, 'presence'), '{"online": true}', { qos: 1 });
  await client.publishAsync(topicOf(device, 'presence'), 'online', { qos: 1 });
  await client.publishAsync(topicOf(device, 'presence'), '{"online": "yes"}', { qos: 1 });
  await client.publishAsync(topicOf(device, 'presence'), '{"online": false}', { qos: 1 });
  await eventually(async () =>
    expect(await presenceOf('talkative')).toMatchObject([{ online: true }, { online: false, reason: 'will' }]),
  );
  expect(await world.metric('fleetgraph_bridge_rejected_messages_total', { reason: 'malformed_json' })).toBe(1);
  expect(await world.metric('fleetgraph_bridge_rejected_messages_total', { reason: 'wrong_shape' })).toBe(1);
});

test.each(['1', '8'])('a start resets each partition that there is, also with BUS_PARTITIONS %s', async (wanted) => {
  await world.restart({ BUS_PARTITIONS: wanted });
  const { rows } = await world.database.pool.query<{ resets: bigint }>(
    `SELECT p.partition, count(r.key) FILTER (WHERE r.value LIKE '%presence.reset%') AS resets
       FROM bus.partitions p LEFT JOIN bus.records r USING (topic, partition)
      WHERE p.topic = $1 GROUP BY 1 ORDER BY 1`,
    [topics.signals],
  );
  const [first, second, ...others] = rows.map(({ resets }) => resets);
  expect(others).toEqual([]);
  expect(first).toBe(second);
});

test('a stop says of each connected device that it is offline; a start says so of all, in every partition', async () => {
  const device = world.device('stopped');
  await world.connect(device);
  await eventually(async () => expect(await presenceOf('stopped')).toHaveLength(1));
  const before = (await world.eventsOf('io.fleetgraph.presence.reset.v1')).length;
  await world.restart();
  expect((await presenceOf('stopped')).at(-1)).toMatchObject({ online: false });
  const resets = await world.eventsOf('io.fleetgraph.presence.reset.v1');
  expect(resets).toHaveLength(before + 2);
  const newest = Math.max(...(await presenceOf('stopped')).map(({ session }) => session));
  expect(resets.at(-1)?.data.session).toBeGreaterThan(newest);
});
