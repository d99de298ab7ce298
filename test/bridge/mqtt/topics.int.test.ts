/** A device may use its own topics and no other; what it publishes reaches the bus and nobody else. */
import type { MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../world/eventually.js';
import { createBridgeWorld, requested, topicOf, type BridgeWorld } from '../bridge-world.js';

let world: BridgeWorld;
let client: MqttClient;
beforeAll(async () => {
  world = await createBridgeWorld();
  client = await world.connect(world.device('own'));
  world.device('other');
  world.device('rival', { tenant: 'rival' });
});
afterAll(() => world[Symbol.asyncDispose]());

const grantsOf = (topics: string[], from = client) =>
  new Promise<number[]>((resolve, reject) => {
    from.subscribe(topics, { qos: 1 }, (error, _granted, packet) => {
      if (packet) resolve((packet as { granted: number[] }).granted);
      else reject(error ?? new Error('no SUBACK'));
    });
  });

test('a device may listen on its own two topics', async () => {
  expect(await grantsOf(['fleet/acme/own/command', 'fleet/acme/own/desired'])).toEqual([1, 1]);
});

test.each([
  'fleet/acme/other/command',
  'fleet/rival/rival/command',
  'fleet/acme/own/telemetry',
  'fleet/acme/own/#',
  'fleet/acme/+/command',
  '#',
  '+/+/+/+',
  '$SYS/#',
  '$fleetgraph/taken',
  '$share/g/fleet/acme/own/command',
])('it may not listen on %s', async (topic) => {
  expect(await grantsOf([topic])).toEqual([128]);
});

test('a topic that is denied spoils no other of the same packet', async () => {
  const other = await world.connect(world.device('mixed'));
  expect(await grantsOf(['#', 'fleet/acme/mixed/command', '$SYS/#'], other)).toEqual([128, 1, 128]);
});

test.each([
  ['fleet/acme/other/telemetry', 'foreign_topic'],
  ['fleet/rival/own/telemetry', 'foreign_topic'],
  ['fleet/acme/own/command', 'unknown_topic'],
  ['fleet/acme/own/telemetry/more', 'unknown_topic'],
  ['fleet/acme/own', 'unknown_topic'],
  ['telemetry', 'unknown_topic'],
  ['$SYS/anything', 'unknown_topic'],
  ['$fleetgraph/taken', 'unknown_topic'],
])('what it publishes on %s is refused as %s, and what comes behind it is stored', async (topic, reason) => {
  const before = await world.metric('fleetgraph_bridge_rejected_messages_total', { reason, transport: 'mqtt' });
  const marker = `m${Math.random().toString(36).slice(2)}`;
  await client.publishAsync(topic, '{"x": 1}', { qos: 1 });
  await client.publishAsync('fleet/acme/own/telemetry', JSON.stringify({ [marker]: 1 }), { qos: 1 });
  expect(await world.metric('fleetgraph_bridge_rejected_messages_total', { reason, transport: 'mqtt' })).toBe(
    before + 1,
  );
  const stored = await world.eventsOf('io.fleetgraph.telemetry.received.v1');
  expect(stored.at(-1)?.data.readings[0]?.metric).toBe(marker);
  expect(stored.every(({ subject, tenant }) => tenant === 'acme' && ['own', 'mixed'].includes(subject))).toBe(true);
});

test('what a device publishes reaches no other client, retained or not', async () => {
  const heard: string[] = [];
  const listener = await world.connect(world.device('listener'));
  listener.on('message', (topic) => heard.push(topic));
  await grantsOf(['fleet/acme/listener/command', '#', 'fleet/acme/own/telemetry'], listener);
  const device = world.device('speaker');
  const speaker = await world.connect(device);
  await speaker.publishAsync(topicOf(device, 'telemetry'), '{"x": 1}', { qos: 1, retain: true });
  await speaker.publishAsync('fleet/acme/listener/command', '{"id": "forged"}', { qos: 1 });
  // A command that is ours comes behind whatever could have come before it.
  await world.relay(requested(world.device('listener'), 'real'));
  await eventually(() => expect(heard).toEqual(['fleet/acme/listener/command']));
});

test('a will on a foreign topic, wrong credentials or a foreign client id are denied', async () => {
  const device = world.device('denied');
  const will = { topic: 'fleet/acme/other/presence', payload: Buffer.from('{"online":false}'), qos: 1 as const };
  await expect(world.connect(device, { will })).rejects.toThrow('Bad username or password');
  await expect(world.connect(device, { password: 'guess' })).rejects.toThrow('Bad username or password');
  await expect(world.connect(device, { clientId: 'other' })).rejects.toThrow('Bad username or password');
  await expect(world.connect(device, { username: 'nobody' })).rejects.toThrow('Bad username or password');
  world.device('retired', { active: false });
  await expect(world.connect({ ...device, deviceId: 'retired' })).rejects.toThrow('Bad username or password');
  expect(await world.metric('fleetgraph_bridge_logins_total', { result: 'denied' })).toBe(5);
});

test('who can not be checked is told that the server is away, and let in when it is back', async () => {
  const device = world.device('patient');
  world.directoryFailure = new Error('database away');
  await expect(world.connect(device)).rejects.toThrow('Server unavailable');
  world.directoryFailure = undefined;
  await world.connect(device);
});
