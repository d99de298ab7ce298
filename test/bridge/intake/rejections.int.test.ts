/** Whatever a device sends that can't be taken: acknowledged, counted, shown, and never in the way of what comes behind. */
import type { MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { createBridgeWorld, topicOf, type BridgeWorld, type TestDevice } from '../bridge-world.js';

let world: BridgeWorld;
let device: TestDevice;
let client: MqttClient;
beforeAll(async () => {
  world = await createBridgeWorld();
  device = world.device('sender', { metrics: [{ name: 'temperature', kind: 'NUMBER' }] });
  client = await world.connect(device);
});
afterAll(() => world[Symbol.asyncDispose]());

interface Shown {
  readonly rejected: readonly {
    readonly reason: string;
    readonly sample: string;
    readonly deviceId: string;
    readonly topic?: string;
  }[];
}
async function shown(tenant = 'acme'): Promise<Shown['rejected']> {
  const response = await world.http('/ingest/v1/rejected', {
    headers: { authorization: `Bearer ${await world.token(tenant)}` },
  });
  return ((await response.json()) as Shown).rejected;
}

const days = 86_400_000;
test.each<[string, string, string | Buffer, string?]>([
  ['malformed_json', 'telemetry', '{"temperature": '],
  ['malformed_json', 'telemetry', Buffer.from([0xff, 0x00, 0x7b])],
  ['malformed_json', 'telemetry', '{"temperature": NaN}'],
  ['malformed_json', 'telemetry', ''],
  ['wrong_shape', 'telemetry', '21.5'],
  ['wrong_shape', 'telemetry', '[]'],
  ['wrong_shape', 'telemetry', '{}'],
  ['wrong_type', 'telemetry', '{"temperature": "warm"}'],
  ['wrong_type', 'telemetry', '{"other": null}'],
  ['wrong_type', 'telemetry', '{"other": {"a": 1}}'],
  ['not_finite', 'telemetry', '{"temperature": 1e999}'],
  ['text_too_long', 'telemetry', JSON.stringify({ text: 'x'.repeat(1_025) })],
  ['text_too_long', 'telemetry', '{"text": "a\\u0000b"}'],
  ['bad_metric_name', 'telemetry', '{"": 1}'],
  ['bad_metric_name', 'telemetry', JSON.stringify({ ['m'.repeat(129)]: 1 })],
  [
    'too_many_readings',
    'telemetry',
    JSON.stringify(Object.fromEntries(Array.from({ length: 1_001 }, (_unused, n) => [`m${n}`, 1]))),
  ],
  ['bad_timestamp', 'telemetry', '{"ts": "yesterday", "values": {"temperature": 1}}'],
  ['bad_timestamp', 'telemetry', '{"ts": -1, "values": {"temperature": 1}}'],
  ['timestamp_in_future', 'telemetry', JSON.stringify({ ts: Date.now() + days, values: { temperature: 1 } })],
  ['timestamp_too_old', 'telemetry', JSON.stringify({ ts: Date.now() - 31 * days, values: { temperature: 1 } })],
  ['payload_too_large', 'telemetry', JSON.stringify({ text: 'x'.repeat(70_000) })],
  ['malformed_json', 'state', 'on'],
  ['wrong_shape', 'state', '[1]'],
  ['not_storable', 'state', '{"a": "\\ud800"}'],
  ['not_storable', 'state', `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`],
  ['wrong_shape', 'event', '{"data": 1}'],
  ['not_storable', 'event', '{"name": "door", "data": ["\\u0000"]}'],
  ['wrong_shape', 'command/ack', '{"status": "SUCCEEDED"}'],
])('%s on %s: refused, and the next message is stored', async (reason, channel, payload) => {
  const before = await world.metric('fleetgraph_bridge_rejected_messages_total', { reason, transport: 'mqtt' });
  const stored = (await world.eventsOf('io.fleetgraph.telemetry.received.v1')).length;
  await client.publishAsync(topicOf(device, channel), payload, { qos: 1 });
  await client.publishAsync(topicOf(device, 'telemetry'), '{"temperature": 1}', { qos: 1 });
  expect(await world.metric('fleetgraph_bridge_rejected_messages_total', { reason, transport: 'mqtt' })).toBe(
    before + 1,
  );
  expect(await world.eventsOf('io.fleetgraph.telemetry.received.v1')).toHaveLength(stored + 1);
  const [newest] = await shown();
  expect(newest).toMatchObject({ reason, deviceId: 'sender', transport: 'mqtt', topic: topicOf(device, channel) });
  expect(newest?.sample.length).toBeLessThanOrEqual(256);
  // Nothing that would break a terminal or a log.
  expect(newest?.sample).not.toMatch(/\p{Cc}/u);
});

test('the decoder of a device type that does not exist is named', async () => {
  const strange = world.device('strange', { decoder: 'morse' });
  await (await world.connect(strange)).publishAsync(topicOf(strange, 'telemetry'), '...---...', { qos: 1 });
  expect((await shown())[0]).toMatchObject({ reason: 'unknown_decoder', deviceId: 'strange' });
});

test('a packet that is larger than any may be costs its connection, and no other', async () => {
  const huge = world.device('huge');
  const connection = await world.connect(huge);
  const closed = new Promise<void>((resolve) => connection.once('close', () => resolve()));
  connection.publish(topicOf(huge, 'telemetry'), Buffer.alloc(3_000_000, 0x20), { qos: 1 }, () => undefined);
  await closed;
  await client.publishAsync(topicOf(device, 'telemetry'), '{"temperature": 1}', { qos: 1 });
  await eventually(() => world.connect(huge));
});

test('a tenant sees the refusals of its own devices, a device its own', async () => {
  const rival = world.device('rival-sender', { tenant: 'rival' });
  await (await world.connect(rival)).publishAsync(topicOf(rival, 'telemetry'), 'secret of the rival', { qos: 1 });
  expect((await shown('rival')).map(({ deviceId }) => deviceId)).toEqual(['rival-sender']);
  expect(JSON.stringify(await shown('acme'))).not.toContain('secret of the rival');
  const own = await world.http('/ingest/v1/rejected', {
    headers: { authorization: `Basic ${btoa('strange:secret')}` },
  });
  expect(((await own.json()) as Shown).rejected.map(({ deviceId }) => deviceId)).toEqual(['strange']);
});
