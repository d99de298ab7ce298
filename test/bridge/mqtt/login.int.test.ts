/** Who guesses is slowed down, and a directory that is stuck holds up neither those who are in nor a stop. */
import { once } from 'node:events';
import { connect as openSocket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, within } from '../../world/eventually.js';
import { createBridgeWorld, topicOf, type BridgeWorld } from '../bridge-world.js';

let world: BridgeWorld;
let release: () => void;
beforeEach(async () => {
  world = await createBridgeWorld();
  release = () => undefined;
});
afterEach(async () => {
  release();
  await world[Symbol.asyncDispose]();
});

function holdDirectory(): void {
  world.directoryHold = new Promise<void>((resolve) => (release = resolve));
}

/** The bytes of a CONNECT with the password `secret`. */
function connectPacket(clientId: string): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([0, value.length]), Buffer.from(value)]);
  const body = Buffer.concat([
    ...[text('MQTT'), Buffer.from([4, 0b1100_0010, 0, 60])],
    ...[text(clientId), text(clientId), text('secret')],
  ]);
  return Buffer.concat([Buffer.from([0x10, body.length]), body]);
}

test('of passwords that are guessed in parallel few are looked at; others at the address get in at once', async () => {
  const device = world.device('guessed');
  const guesses = await Promise.all(
    Array.from({ length: 60 }, (_unused, guess) =>
      world.connect(device, { password: `guess-${guess}` }).then(
        () => 'let in',
        (error: unknown) => String(error),
      ),
    ),
  );
  const answered = (text: string): number => guesses.filter((answer) => answer.includes(text)).length;
  // Twenty at once, and one that has waited for five seconds.
  expect(answered('Bad username or password')).toBeGreaterThanOrEqual(20);
  expect(answered('Bad username or password')).toBeLessThanOrEqual(22);
  expect(answered('Bad username or password') + answered('Server unavailable')).toBe(60);
  const client = await within(world.connect(world.device('neighbour')), 4_000, 'the login of another');
  await client.endAsync();
});

test('while the directory is stuck who is in goes on, who is not is told to try later, and nothing is kept of who leaves', async () => {
  const inside = world.device('inside');
  const client = await world.connect(inside);
  holdDirectory();
  const login = world.connect(world.device('outside')).catch((error: unknown) => String(error));
  const impatient = openSocket(world.mqttPort(), '127.0.0.1');
  impatient.write(connectPacket(world.device('impatient').deviceId));
  await once(impatient, 'connect');
  impatient.destroy();
  await client.publishAsync(topicOf(inside, 'telemetry'), '{"a": 1}', { qos: 1 });
  expect(await within(login, 20_000, 'the answer')).toContain('Server unavailable');

  release();
  world.directoryHold = undefined;
  await world.connect(world.device('outside'));
  await eventually(async () => expect(await world.metric('fleetgraph_bridge_connected_devices')).toBe(2));
  const seen = (await world.eventsOf('io.fleetgraph.presence.changed.v1')).map(({ subject }) => subject);
  expect(seen).not.toContain('impatient');
});

test('a stop does not wait for a directory that is stuck', async () => {
  holdDirectory();
  const socket = openSocket(world.mqttPort(), '127.0.0.1');
  const closed = once(socket, 'close');
  socket.on('error', () => undefined);
  socket.write(connectPacket(world.device('early').deviceId));
  await once(socket, 'connect');
  await within(world.bridge.stop(), 5_000, 'the stop');
  await closed;
});

test('a device that hangs up in any moment of its connecting does not stay online', async () => {
  const hangUp = async (id: string, turns: number): Promise<void> => {
    const socket = openSocket(world.mqttPort(), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(connectPacket(world.device(id).deviceId));
    await once(socket, 'connect');
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
  };
  // Each a turn of the event loop later than the one before, until some are let in first.
  for (let turns = 0; turns < 150; turns += 10)
    await Promise.all(Array.from({ length: 10 }, (_unused, index) => hangUp(`hasty-${turns + index}`, turns + index)));
  await eventually(async () => expect(await world.metric('fleetgraph_bridge_connected_devices')).toBe(0));
  await eventually(async () => {
    const changes = await world.eventsOf('io.fleetgraph.presence.changed.v1');
    const last = new Map(changes.map(({ subject, data }) => [subject, data.online]));
    expect([...last].filter(([, online]) => online)).toEqual([]);
    // Some of them must have come so far.
    expect(last.size).toBeGreaterThan(0);
  });
});
