/** A device whose password was rotated, or that was decommissioned, is disconnected from an external broker. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeEvent } from '../../../../backbone/events/envelope.js';
import { eventually, within } from '../../../world/eventually.js';
import { hasMosquitto } from '../../../world/mosquitto/mosquitto-binary.js';
import { createExternalWorld, type ExternalWorld } from './external-world.js';

describe.skipIf(!hasMosquitto())('eviction at Mosquitto', () => {
  let world: ExternalWorld;
  beforeAll(async () => {
    world = await createExternalWorld(['rotated', 'retired', 'bystander']);
    await world.startBridge('one');
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const about = (type: string, deviceId: string, data: Record<string, unknown>) =>
    makeEvent({ source: '/device', subject: deviceId, tenant: 'acme', type, data } as Parameters<typeof makeEvent>[0]);

  test.each([
    ['io.fleetgraph.device.credentials-rotated.v1', 'rotated', { deviceId: 'rotated', clientId: 'rotated' }],
    ['io.fleetgraph.device.decommissioned.v1', 'retired', { deviceId: 'retired' }],
  ])('%s ends the connection of that device, and of no other', async (type, deviceId, data) => {
    const device = await world.connect(deviceId, { protocolVersion: 5, clean: false, reconnectPeriod: 0 });
    await device.subscribeAsync(`fleet/acme/${deviceId}/command`, { qos: 1 });
    const bystander = await world.connect('bystander', { reconnectPeriod: 0 });
    await world.relay(about(type, deviceId, data));
    await within(
      new Promise<void>((resolve) => device.once('close', () => resolve())),
      20_000,
      'the end of the connection',
    );
    expect(bystander.connected).toBe(true);
    await bystander.endAsync();
  });

  test('many at once are all disconnected, each once its turn comes', async () => {
    const ids = Array.from({ length: 40 }, (_unused, index) => `many-${index}`);
    world.broker.allow(
      ids.map((deviceId) => ({ tenant: 'acme', deviceId })),
      'secret',
    );
    const devices = await Promise.all(
      ids.map((deviceId) => eventually(() => world.connect(deviceId, { reconnectPeriod: 0 }))),
    );
    const ended = devices.map((device) => new Promise<void>((resolve) => device.once('close', () => resolve())));
    await world.relay(...ids.map((id) => about('io.fleetgraph.device.decommissioned.v1', id, { deviceId: id })));
    await within(Promise.all(ended), 30_000, 'the end of the connections');
  });
});
