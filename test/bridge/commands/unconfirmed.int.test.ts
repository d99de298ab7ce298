/** Devices that do not confirm what they are sent: it comes again, once a session, and never piles up. */
import type { MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeEvent, type Event } from '../../../backbone/events/envelope.js';
import { eventually } from '../../world/eventually.js';
import { createBridgeWorld, requested, topicOf, type BridgeWorld, type TestDevice } from '../bridge-world.js';

let world: BridgeWorld;
beforeAll(async () => {
  world = await createBridgeWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** Topic and id or version of what a client is sent, in order. */
function listen(client: MqttClient): string[] {
  const heard: string[] = [];
  client.on('packetreceive', (packet) => {
    if (packet.cmd !== 'publish') return;
    const message = JSON.parse(packet.payload.toString()) as { id?: string; version?: number };
    heard.push(message.id ?? `v${message.version}`);
  });
  return heard;
}

/** A client that is sent messages and confirms none: MQTT.js confirms after this callback. */
async function neverConfirms(device: TestDevice, clean: boolean): Promise<{ client: MqttClient; heard: string[] }> {
  let heard: string[] = [];
  const client = await world.connect(device, { clean }, (connecting) => {
    connecting.handleMessage = () => undefined;
    heard = listen(connecting);
  });
  // Not awaited: the answer may wait behind a message that is never done.
  client.subscribe([topicOf(device, 'command'), topicOf(device, 'desired')], { qos: 1 }, () => undefined);
  return { client, heard };
}

async function listens(client: MqttClient): Promise<void> {
  await new Promise<void>((resolve) =>
    client.on('packetreceive', ({ cmd }) => {
      if (cmd === 'suback') resolve();
    }),
  );
}

const desired = (deviceId: string, version: number): Event =>
  makeEvent({
    type: 'io.fleetgraph.device.desired-state-set.v1',
    source: '/device',
    subject: deviceId,
    tenant: 'acme',
    data: { deviceId, desired: { interval: version }, version },
  });
const signalsOf = async (commandId: string) =>
  (await world.events()).flatMap(({ type, data }) =>
    'commandId' in data && data.commandId === commandId ? [type.split('.').at(-2)] : [],
  );

test.each([
  ['clean', true],
  ['kept', false],
])('a device that restarts at a command, again and again, gets it once in each %s session', async (name, clean) => {
  const device = world.device(`reboots-${name}`);
  await world.relay(requested(device, `r-${name}-1`), requested(device, `r-${name}-2`));
  for (let round = 0; round < 4; round += 1) {
    const { client, heard } = await neverConfirms(device, clean);
    await eventually(() => expect(heard).toContain(`r-${name}-1`));
    client.stream.destroy();
    await eventually(async () => expect(await world.metric('fleetgraph_bridge_connected_devices')).toBe(0));
  }
  let heard: string[] = [];
  const client = await world.connect(device, { clean }, (connecting) => (heard = listen(connecting)));
  await client.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
  await world.relay(requested(device, `r-${name}-3`));
  await eventually(async () => expect(await signalsOf(`r-${name}-3`)).toContain('received'));
  expect(heard).toEqual([`r-${name}-1`, `r-${name}-2`, `r-${name}-3`]);
  expect((await signalsOf(`r-${name}-1`)).filter((signal) => signal === 'received')).toHaveLength(1);
  await client.endAsync();
});

test('a desired state that was not confirmed comes again in a session that is kept', async () => {
  const device = world.device('wants');
  const first = await neverConfirms(device, false);
  await listens(first.client);
  await world.relay(desired('wants', 7));
  await eventually(() => expect(first.heard).toEqual(['v7']));
  first.client.stream.destroy();
  await eventually(async () => expect(await world.metric('fleetgraph_bridge_connected_devices')).toBe(0));
  let heard: string[] = [];
  const client = await world.connect(device, { clean: false }, (connecting) => (heard = listen(connecting)));
  await eventually(() => expect(heard).toEqual(['v7']));
  await client.endAsync();
});

test.each([
  ['clean', true],
  ['kept', false],
])('a device that confirms nothing in a %s session is disconnected before much waits for it', async (name, clean) => {
  const device = world.device(`silent-${name}`);
  const { client, heard } = await neverConfirms(device, clean);
  await listens(client);
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  await world.relay(...Array.from({ length: 400 }, (_unused, version) => desired(device.deviceId, version)));
  await closed;
  expect(heard.length).toBeLessThanOrEqual(200);
  const again = await world.connect(device);
  expect(again.connected).toBe(true);
  await again.endAsync();
});

test('a device that confirms gets any number, in order', async () => {
  const device = world.device('diligent');
  const client = await world.connect(device);
  const heard = listen(client);
  await client.subscribeAsync(topicOf(device, 'desired'), { qos: 1 });
  for (let from = 0; from < 600; from += 100) {
    await world.relay(...Array.from({ length: 100 }, (_unused, index) => desired('diligent', from + index)));
    await eventually(() => expect(heard).toHaveLength(from + 100));
  }
  expect(heard).toEqual(Array.from({ length: 600 }, (_unused, version) => `v${version}`));
  await client.endAsync();
});

test('confirmations of commands and desired states, mixed, are told apart', async () => {
  const device = world.device('mixed');
  const client = await world.connect(device);
  await client.subscribeAsync([topicOf(device, 'command'), topicOf(device, 'desired')], { qos: 1 });
  await world.relay(
    ...Array.from({ length: 20 }, (_unused, n) => [desired('mixed', n), requested(device, `m-${n}`)]).flat(),
  );
  for (let n = 0; n < 20; n += 1)
    await eventually(async () => expect(await signalsOf(`m-${n}`)).toEqual(['dispatched', 'received']));
  await client.endAsync();
});

test('a connection that takes over is sent what the one before it did not confirm', async () => {
  const device = world.device('moves');
  const first = await neverConfirms(device, true);
  await world.relay(requested(device, 'mv-1'));
  await eventually(() => expect(first.heard).toEqual(['mv-1']));
  const second = await world.connect(device);
  const heard = listen(second);
  await second.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
  await eventually(() => expect(heard).toEqual(['mv-1']));
  await eventually(async () => expect(await signalsOf('mv-1')).toEqual(['dispatched', 'dispatched', 'received']));
  await second.endAsync();
});
