/** A stop ends in time whatever the bus does, and leaves nothing that was promised and not kept. */
import { expect, test } from 'vitest';
import { eventually, within } from '../world/eventually.js';
import { createBridgeWorld, topicOf, type BridgeWorld } from './bridge-world.js';

test('every device that is connected is said to be offline, whatever its session and its will', async () => {
  await using world = await createBridgeWorld();
  const ids = Array.from({ length: 30 }, (_unused, index) => `device-${index}`);
  await Promise.all(
    ids.map(async (id, index) => {
      const device = world.device(id);
      const will = { topic: topicOf(device, 'presence'), payload: Buffer.from('{"online": false}'), qos: 1 as const };
      const client = await world.connect(device, { clean: index % 2 === 0, ...(index % 3 === 0 ? { will } : {}) });
      await client.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
    }),
  );
  expect(await world.metric('fleetgraph_bridge_connected_devices')).toBe(30);
  await within(world.bridge.stop(), 10_000, 'the stop');
  const last = new Map(
    (await world.eventsOf('io.fleetgraph.presence.changed.v1')).map(({ subject, data }) => [subject, data.online]),
  );
  expect(Object.fromEntries(last)).toEqual(Object.fromEntries(ids.map((id) => [id, false])));
});

// Each waits as long as a stop waits for the bus: at the same time.
test.concurrent.each<[string, (world: BridgeWorld) => Promise<() => Promise<void>>]>([
  [
    'refuses',
    async (world) => {
      await world.database.pool.query('ALTER TABLE bus.records RENAME TO records_away');
      return async () => {
        await world.database.pool.query('ALTER TABLE bus.records_away RENAME TO records');
      };
    },
  ],
  [
    'does not answer',
    async (world) => {
      const client = await world.database.pool.connect();
      await client.query('BEGIN');
      await client.query('LOCK TABLE bus.records IN ACCESS EXCLUSIVE MODE');
      return async () => {
        await client.query('ROLLBACK');
        client.release();
      };
    },
  ],
])(
  'while the bus %s, a stop ends all the same: nothing is acknowledged, HTTP says 503, and what comes again is stored',
  async (_what, breakBus) => {
    await using world = await createBridgeWorld();
    const device = world.device('waiting');
    const client = await world.connect(device);
    const gone = new Promise<void>((resolve) => client.once('close', () => resolve()));
    const repair = await breakBus(world);
    const heard: string[] = [];
    client.on('packetreceive', ({ cmd }) => heard.push(cmd));
    client.publish(topicOf(device, 'telemetry'), '{"by": "mqtt"}', { qos: 1 }, () => undefined);
    const posting = world.http('/ingest/v1/telemetry', {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('waiting:secret')}`, 'content-type': 'application/json' },
      body: '{"by": "http"}',
    });
    await eventually(async () =>
      expect(await world.metric('fleetgraph_bridge_messages_total', { channel: 'telemetry' })).toBe(1),
    );
    await within(world.bridge.stop(), 20_000, 'the stop');
    await gone;
    expect(heard).toEqual([]);
    expect((await within(posting, 5_000, 'the answer')).status).toBe(503);
    await repair();

    await world.restart();
    await (await world.connect(device)).publishAsync(topicOf(device, 'telemetry'), '{"by": "mqtt again"}', { qos: 1 });
    const stored = (await world.eventsOf('io.fleetgraph.telemetry.received.v1')).map(
      ({ data }) => data.readings[0]?.value,
    );
    expect(stored.at(-1)).toBe('mqtt again');
  },
);
