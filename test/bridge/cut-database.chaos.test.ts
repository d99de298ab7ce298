/** Every connection to PostgreSQL is cut, again and again, while devices send: what was acknowledged is stored, in order. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, within } from '../world/eventually.js';
import { createBridgeWorld, requested, topicOf, type BridgeWorld } from './bridge-world.js';

let world: BridgeWorld;
beforeAll(async () => {
  world = await createBridgeWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** @returns how many were cut. */
async function cutConnections(): Promise<number> {
  const { rows } = await world.database.pool.query<{ cut: number }>(
    `SELECT count(pg_terminate_backend(pid))::int AS cut FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  return rows[0]?.cut ?? 0;
}

test('no device is disconnected, no acknowledged message is missing, order holds, and commands still go down', async () => {
  const devices = ['a', 'b', 'c', 'd'].map((id) => world.device(id));
  const acknowledged = new Map<string, number[]>(devices.map(({ deviceId }) => [deviceId, []]));
  const count = () => [...acknowledged.values()].reduce((sum, numbers) => sum + numbers.length, 0);
  let publishing = true;
  let disconnected = 0;
  const commands: string[] = [];
  const lanes = devices.map(async (device) => {
    const client = await world.connect(device);
    client.on('close', () => (disconnected += 1));
    client.on('message', (_topic, payload) => commands.push((JSON.parse(payload.toString()) as { id: string }).id));
    await client.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
    let next = 0;
    const lane = async (): Promise<void> => {
      while (publishing) {
        const n = next++;
        await client.publishAsync(topicOf(device, 'telemetry'), JSON.stringify({ n }), { qos: 1 });
        acknowledged.get(device.deviceId)?.push(n);
      }
    };
    await Promise.all(Array.from({ length: 10 }, lane));
  });

  let cut = 0;
  for (let round = 0; round < 6; round += 1) {
    const target = count() + 200;
    await eventually(() => expect(count()).toBeGreaterThan(target));
    cut += await cutConnections();
  }
  const target = count() + 200;
  await eventually(() => expect(count()).toBeGreaterThan(target));
  publishing = false;
  await within(Promise.all(lanes), 20_000, 'the last PUBACKs');
  expect(cut).toBeGreaterThan(6);
  expect(disconnected).toBe(0);

  const stored = await world.eventsOf('io.fleetgraph.telemetry.received.v1');
  for (const { deviceId } of devices) {
    // A cut after the commit and before its answer stores a batch twice: the first time counts.
    const seen = new Set(
      stored.flatMap(({ subject, data }) => (subject === deviceId ? [data.readings[0]?.value] : [])),
    );
    expect(acknowledged.get(deviceId)?.filter((n) => !seen.has(n))).toEqual([]);
    expect([...seen]).toEqual(Array.from({ length: seen.size }, (_unused, n) => n));
  }

  await eventually(() => world.bridge.ready?.());
  for (const [index, device] of devices.entries()) await world.relay(requested(device, `after-${index}`));
  await eventually(() => expect(commands.toSorted()).toEqual(['after-0', 'after-1', 'after-2', 'after-3']));
});
