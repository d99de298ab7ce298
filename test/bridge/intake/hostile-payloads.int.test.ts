/** Payloads that are made to hurt: each is stored or refused, and never costs a connection or what comes behind it. */
import fc from 'fast-check';
import type { MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { within } from '../../world/eventually.js';
import { createBridgeWorld, topicOf, type BridgeWorld, type TestDevice } from '../bridge-world.js';

let world: BridgeWorld;
let device: TestDevice;
let client: MqttClient;
beforeAll(async () => {
  world = await createBridgeWorld();
  device = world.device('hostile');
  client = await world.connect(device);
});
afterAll(() => world[Symbol.asyncDispose]());

const channels = ['telemetry', 'state', 'event', 'command/ack', 'presence'] as const;
const stored = { stored: 1, refused: 0 };
const refused = { stored: 0, refused: 1 };
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

interface Handled {
  readonly stored: number;
  readonly refused: number;
}
async function send(channel: string, payload: string | Buffer): Promise<Handled> {
  const before = await counted();
  await within(client.publishAsync(topicOf(device, channel), payload, { qos: 1 }), 5_000, 'the PUBACK');
  const after = await counted();
  return { stored: after.stored - before.stored, refused: after.refused - before.refused };
}
async function counted(): Promise<Handled> {
  const { rows } = await world.database.pool.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM bus.records WHERE key = 'hostile' AND headers->>'ce_type' NOT LIKE '%presence%'`,
  );
  return { stored: rows[0]?.n ?? 0, refused: await world.metric('fleetgraph_bridge_rejected_messages_total') };
}

test.each<[string, string, string, Handled]>([
  ['a result nested 30,000 levels deep', 'command/ack', `{"id": "deep", "result": ${nested(30_000)}}`, refused],
  ['a result nested 20 levels deep', 'command/ack', `{"id": "less", "result": ${nested(20)}}`, stored],
  ['a result with an infinite number', 'command/ack', '{"id": "big", "result": [{"a": 1e999}]}', refused],
  ['U+0000 in the id of a command', 'command/ack', '{"id": "a\\u0000b"}', refused],
  ['half a surrogate pair in the id of a command', 'command/ack', '{"id": "half \\ud83d"}', refused],
  ['a state nested 30,000 levels deep', 'state', `{"deep": ${nested(30_000)}}`, refused],
  ['an event nested 30,000 levels deep', 'event', `{"name": "deep", "data": ${nested(30_000)}}`, refused],
  ['an event with an infinite number', 'event', '{"name": "big", "data": 1e999}', refused],
  ['a value nested 30,000 levels deep', 'telemetry', `{"deep": ${nested(30_000)}}`, refused],
  ['an array nested 30,000 levels deep', 'telemetry', nested(30_000), refused],
  ['presence nested 30,000 levels deep', 'presence', nested(30_000), refused],
  ['a state with a member that every object has', 'state', '{"__proto__": {"a": 1}, "toString": 2}', stored],
  ['metrics with names that every object has', 'telemetry', '{"__proto__": 1, "constructor": 2}', stored],
])('%s on %s', async (_what, channel, payload, handled) => {
  expect(await send(channel, payload)).toEqual(handled);
  expect(client.connected).toBe(true);
});

test('an answer keeps what a device says, though some of it could not be stored elsewhere', async () => {
  await client.publishAsync(topicOf(device, 'command/ack'), '{"id": "odd", "status": "FAILED", "error": "a\\u0000b"}', {
    qos: 1,
  });
  const answers = await world.eventsOf('io.fleetgraph.command.acknowledged.v1');
  expect(answers.at(-1)?.data).toMatchObject({ commandId: 'odd', status: 'FAILED', error: 'a\0b' });
});

test('property: any payload on any topic is acknowledged, and stored or refused exactly once', async () => {
  const member = fc.constantFrom('id', 'name', 'data', 'status', 'result', 'error', 'online', 'ts', 'values', 'x');
  const json = fc
    .dictionary(member, fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' })))
    .map((v) => JSON.stringify(v));
  const payload = fc.oneof(
    json,
    fc.json(),
    fc.string({ unit: 'binary' }),
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...channels), payload, async (channel, text) => {
      const handled = await send(channel, text);
      // Presence is told to the bus without an acknowledgement to wait for.
      expect(channel === 'presence' ? 1 : handled.stored + handled.refused).toBe(1);
    }),
    { numRuns: 150 },
  );
  expect(client.connected).toBe(true);
  await expect(world.bridge.ready?.()).resolves.toBeUndefined();
}, 30_000);
