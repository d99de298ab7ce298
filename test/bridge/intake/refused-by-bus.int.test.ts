/** What the bus will never take is refused once: it is not sent again for ever, and takes nothing else with it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { within } from '../../world/eventually.js';
import { createBridgeWorld, topicOf, type BridgeWorld } from '../bridge-world.js';

let world: BridgeWorld;
beforeAll(async () => {
  world = await createBridgeWorld();
  // Stands for a topic of Kafka whose records may be no larger than this.
  await world.database.pool.query('ALTER TABLE bus.records ADD CONSTRAINT small CHECK (length(value) < 20000)');
});
afterAll(() => world[Symbol.asyncDispose]());

const tooLarge = JSON.stringify({ text: 'x'.repeat(30_000) });
const refusals = (transport: string): Promise<number> =>
  world.metric('fleetgraph_bridge_rejected_messages_total', { reason: 'not_storable', transport });

test('a message over MQTT is acknowledged and refused; the connection and later messages go on', async () => {
  const device = world.device('mqtt-device');
  const client = await world.connect(device);
  await within(client.publishAsync(topicOf(device, 'state'), tooLarge, { qos: 1 }), 5_000, 'the PUBACK');
  await within(client.publishAsync(topicOf(device, 'state'), '{"on": true}', { qos: 1 }), 5_000, 'the next PUBACK');
  expect(client.connected).toBe(true);
  expect(await refusals('mqtt')).toBe(1);
  const reports = await world.eventsOf('io.fleetgraph.device.state-reported.v1');
  expect(reports.map(({ data }) => data.reported)).toEqual([{ on: true }]);
});

test('a line over HTTP is refused; the other lines of the request are accepted', async () => {
  world.device('http-device');
  const readings = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`m${n}`, 'x'.repeat(1_000)]));
  const response = await world.http('/ingest/v1/telemetry', {
    method: 'POST',
    headers: { authorization: `Bearer ${await world.token('acme')}`, 'content-type': 'application/json' },
    body: JSON.stringify([
      { deviceId: 'http-device', ...readings },
      { deviceId: 'http-device', temperature: 1 },
    ]),
  });
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({
    accepted: 1,
    rejected: 1,
    results: [
      { line: 1, status: 'rejected', reason: 'not_storable' },
      { line: 2, status: 'accepted' },
    ],
  });
  expect(await refusals('http')).toBe(1);
});
