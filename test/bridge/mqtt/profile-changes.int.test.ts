/** A device type that changes is followed by the devices that are connected: their next message is taken by what holds now. */
import type { MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MetricDefinition } from '../../../backbone/events/catalogue.js';
import { makeEvent, type Event } from '../../../backbone/events/envelope.js';
import { eventually } from '../../world/eventually.js';
import { createBridgeWorld, topicOf, type BridgeWorld, type TestDevice } from '../bridge-world.js';

let world: BridgeWorld;
beforeAll(async () => {
  world = await createBridgeWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const defined = (typeId: string, decoder: string, metrics: readonly MetricDefinition[] = [], tenant = 'acme'): Event =>
  makeEvent({
    type: 'io.fleetgraph.device-type.defined.v1',
    source: '/device',
    subject: typeId,
    tenant,
    data: { typeId, name: typeId, decoder, metrics: [...metrics] },
  });
const updated = (device: TestDevice, typeId: string): Event =>
  makeEvent({
    type: 'io.fleetgraph.device.updated.v1',
    source: '/device',
    subject: device.deviceId,
    tenant: device.tenant,
    data: { deviceId: device.deviceId, name: 'renamed', typeId, labels: {} },
  });
const metricsOf = async (id: string) =>
  (await world.eventsOf('io.fleetgraph.telemetry.received.v1'))
    .filter(({ subject }) => subject === id)
    .flatMap(({ data }) => data.readings.map(({ metric }) => metric));
const send = (client: MqttClient, device: TestDevice, payload: unknown) =>
  client.publishAsync(topicOf(device, 'telemetry'), JSON.stringify(payload), { qos: 1 });

test('a type that gets another decoder and metrics holds for its connected devices, and for no others', async () => {
  const device = world.device('follows', { typeId: 'meter' });
  const rival = world.device('rival-meter', { typeId: 'meter', tenant: 'rival' });
  const [client, other] = [await world.connect(device), await world.connect(rival)];
  await send(client, device, { before: 'text' });
  await world.relay(defined('meter', 'senml', [{ name: 'power', kind: 'NUMBER' }]));
  await eventually(async () => {
    await send(client, device, [{ n: 'after', v: 1 }]);
    expect(await metricsOf('follows')).toContain('after');
  });
  await send(client, device, [{ n: 'power', vs: 'much' }]);
  expect(await metricsOf('follows')).not.toContain('power');
  await send(other, rival, { still: 'json' });
  expect(await metricsOf('rival-meter')).toEqual(['still']);
});

test('a device that is given another type is taken by it, once the directory can tell', async () => {
  const device = world.device('moved', { typeId: 'plain' });
  const client = await world.connect(device);
  world.device('moved', { typeId: 'senml-type', decoder: 'senml' });
  world.directoryFailure = new Error('database away');
  await world.relay(updated(device, 'senml-type'));
  await send(client, device, { json: 1 });
  expect(await metricsOf('moved')).toEqual(['json']);
  world.directoryFailure = undefined;
  await eventually(async () => {
    await send(client, device, [{ n: 'senml', v: 1 }]);
    expect((await metricsOf('moved')).at(-1)).toBe('senml');
  });
});

test('a record that nobody can read stops nothing', async () => {
  const device = world.device('named', { typeId: 'kept-type' });
  const client = await world.connect(device);
  const headers = { ce_type: 'io.fleetgraph.device.updated.v1' };
  await world.bus.publish('fleetgraph.events', [{ key: 'named', value: '{', headers }]);
  await world.relay(defined('kept-type', 'senml'));
  await eventually(async () => {
    await send(client, device, [{ n: 'senml', v: 1 }]);
    expect((await metricsOf('named')).at(-1)).toBe('senml');
  });
});
