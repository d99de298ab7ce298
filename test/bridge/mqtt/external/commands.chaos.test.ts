/** Commands through an external broker: to devices of both versions of MQTT, by one bridge of several. */
import type { IPublishPacket, MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../../world/eventually.js';
import { hasMosquitto } from '../../../world/mosquitto/mosquitto-binary.js';
import { requested, storeTwin, twinChanged, type TestDevice } from '../../bridge-world.js';
import { createExternalWorld, type ExternalWorld } from './external-world.js';

const deviceOf = (deviceId: string): TestDevice => ({
  tenant: 'acme',
  deviceId,
  typeId: 'generic',
  active: true,
  decoder: 'json',
  metrics: [],
});

describe.skipIf(!hasMosquitto())('commands through Mosquitto', () => {
  let world: ExternalWorld;
  beforeAll(async () => {
    world = await createExternalWorld(['v4', 'v5', 'late', 'takeover', 'gone', 'stranger', 'twin4', 'twin5']);
    await world.startBridge('one');
  });
  afterAll(() => world[Symbol.asyncDispose]());

  /** Listens for commands; gives what came, in order. */
  const listen = async (client: MqttClient, deviceId: string): Promise<IPublishPacket[]> => {
    const received: IPublishPacket[] = [];
    client.on('message', (_topic, _payload, packet) => void received.push(packet));
    await client.subscribeAsync(`fleet/acme/${deviceId}/command`, { qos: 1 });
    return received;
  };
  const idOf = (packet: IPublishPacket | undefined): unknown =>
    (JSON.parse(packet?.payload.toString() ?? '{}') as { id?: unknown }).id;

  test('an MQTT 5 device gets response topic, correlation data and expiry, and may answer by them alone', async () => {
    const client = await world.connect('v5', { protocolVersion: 5 });
    const received = await listen(client, 'v5');
    await world.relay(requested(deviceOf('v5'), 'command-5', 60_000));
    await eventually(() => expect(received.map(idOf)).toEqual(['command-5']));
    const { properties } = received[0] ?? {};
    expect(properties?.responseTopic).toBe('fleet/acme/v5/command/ack');
    expect(properties?.correlationData?.toString()).toBe('command-5');
    expect(properties?.messageExpiryInterval).toBeGreaterThan(50);
    expect(properties?.messageExpiryInterval).toBeLessThanOrEqual(60);
    await client.publishAsync(properties?.responseTopic ?? '', '{"result": 5}', {
      qos: 1,
      properties: { correlationData: Buffer.from(properties?.correlationData ?? []) },
    });
    await eventually(async () =>
      expect(await world.signals('v5')).toEqual([
        'io.fleetgraph.command.dispatched.v1',
        'io.fleetgraph.command.acknowledged.v1',
      ]),
    );
  });

  test('an MQTT 3.1.1 device gets it without, and answers with the id', async () => {
    const client = await world.connect('v4', { protocolVersion: 4 });
    const received = await listen(client, 'v4');
    await world.relay(requested(deviceOf('v4'), 'command-4'));
    await eventually(() => expect(received.map(idOf)).toEqual(['command-4']));
    await client.publishAsync('fleet/acme/v4/command/ack', '{"id": "command-4", "status": "RECEIVED"}', { qos: 1 });
    await client.publishAsync('fleet/acme/v4/command/ack', '{"id": "command-4"}', { qos: 1 });
    await eventually(async () =>
      expect(await world.signals('v4')).toEqual([
        'io.fleetgraph.command.dispatched.v1',
        'io.fleetgraph.command.received.v1',
        'io.fleetgraph.command.acknowledged.v1',
      ]),
    );
  });

  test.each([4, 5] as const)('what is left of the twin comes on connect and on change (MQTT %i)', async (version) => {
    const device = deviceOf(`twin${version}`);
    const { deviceId } = device;
    await storeTwin(world.database, device, { revision: 2, desired: { mode: 'eco' }, reported: {} });
    const client = await world.connect(deviceId, { protocolVersion: version });
    const deltas: unknown[] = [];
    client.on('message', (_topic, payload) => deltas.push(JSON.parse(payload.toString())));
    await client.subscribeAsync(`fleet/acme/${deviceId}/delta`, { qos: 1 });
    await client.publishAsync(`fleet/acme/${deviceId}/presence`, '{"online": true}', { qos: 1 });
    const first = { revision: 2, version: 1, delta: { mode: 'eco' } };
    await eventually(() => expect(deltas).toEqual([first]));
    await storeTwin(world.database, device, { revision: 3, desired: { mode: 'eco' }, reported: { mode: 'off' } });
    await world.relay(twinChanged(device, 'reported'));
    await eventually(() => expect(deltas).toEqual([first, { ...first, revision: 3 }]));
  });

  test('waits for a device that does not listen, in order, and is not sent when it has expired', async () => {
    const expiresAt = Date.now() + 1_500;
    await world.relay(
      requested(deviceOf('late'), 'first'),
      requested(deviceOf('late'), 'expired', 1_500),
      requested(deviceOf('late'), 'second'),
    );
    await eventually(async () => {
      const { rows } = await world.database.pool.query(
        'SELECT 1 FROM bridge.undelivered_commands WHERE device_id = $1',
        ['late'],
      );
      expect(rows.length).toBe(3);
    });
    await eventually(() => expect(Date.now()).toBeGreaterThan(expiresAt + 50), 5_000);
    const client = await world.connect('late', { protocolVersion: 5 });
    const received = await listen(client, 'late');
    await eventually(() => expect(received.map(idOf)).toEqual(['first', 'second']));
  });

  test('one bridge of two sends; when it is killed the other sends what waits', async () => {
    const lone = await createExternalWorld(['takeover']);
    try {
      const leader = await lone.startBridge('one');
      await lone.relay(requested(deviceOf('takeover'), 'waiting'));
      const rows = async (): Promise<number> =>
        (await lone.database.pool.query('SELECT 1 FROM bridge.undelivered_commands')).rows.length;
      await eventually(async () => expect(await rows()).toBe(1));
      await lone.startBridge('two');
      await leader.kill();
      const client = await lone.connect('takeover', { protocolVersion: 5 });
      const received = await listen(client, 'takeover');
      await eventually(() => expect(received.map(idOf)).toEqual(['waiting']));
    } finally {
      await lone[Symbol.asyncDispose]();
    }
  });

  test('nobody reads the commands of another, or speaks for it', async () => {
    const stranger = await world.connect('stranger', { protocolVersion: 5 });
    const seen: unknown[] = [];
    stranger.on('message', (topic) => seen.push(topic));
    // Mosquitto grants such subscriptions and gives nothing on them; EMQX refuses them.
    for (const topic of ['fleet/acme/v5/command', 'fleet/+/+/command', 'fleet/#', '#'])
      await stranger.subscribeAsync(topic, { qos: 1 }).catch(() => undefined);
    await stranger.publishAsync('fleet/acme/v5/telemetry', '{"forged": 1}', { qos: 1 }).catch(() => undefined);
    const client = await world.connect('v5', { protocolVersion: 5 });
    await client.publishAsync('fleet/acme/v5/telemetry', '{"own": 1}', { qos: 1 });
    await eventually(async () => expect(await world.stored('v5')).toEqual([1]));
    const { rows } = await world.database.pool.query(`SELECT 1 FROM bus.records WHERE value LIKE '%forged%'`);
    expect(rows).toEqual([]);
    expect(seen).toEqual([]);
  });

  test('presence is what devices say themselves, where the broker does not tell', async () => {
    const client = await world.connect('gone', {
      protocolVersion: 5,
      will: { topic: 'fleet/acme/gone/presence', payload: Buffer.from('{"online": false}'), qos: 1, retain: false },
    });
    await client.publishAsync('fleet/acme/gone/presence', '{"online": true}', { qos: 1 });
    await eventually(async () => expect(await world.signals('gone')).toHaveLength(1));
    client.stream.destroy();
    client.end(true);
    await eventually(async () => {
      const { rows } = await world.database.pool.query<{ online: boolean }>(
        `SELECT (value::jsonb->>'online')::boolean AS online FROM bus.records WHERE key = 'gone' ORDER BY "offset"`,
      );
      expect(rows.map(({ online }) => online)).toEqual([true, false]);
    });
  });
});
