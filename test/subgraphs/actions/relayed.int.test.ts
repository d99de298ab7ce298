import { afterAll, beforeAll, expect, test } from 'vitest';
import { topics } from '../../../backbone/bus/topics.js';
import type { BusRecord } from '../../../backbone/bus/event-bus.js';
import { eventIdOf } from '../../../backbone/events/consistency-token.js';
import { decode } from '../../../backbone/events/envelope.js';
import { createRelayRole } from '../../../backbone/relay/relay.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import { createMetrics } from '../../../platform/observability/metrics.js';
import { silentLog } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { createActionsWorld, type ActionsInstance, type ActionsWorld } from './actions-world.js';
import { cancelMutation, send, type Sent } from './operations.js';

let world: ActionsWorld;
let actions: ActionsInstance;
let relay: Role;
beforeAll(async () => {
  world = await createActionsWorld();
  actions = await world.startInstance();
  relay = createRelayRole({
    log: silentLog,
    metrics: createMetrics({ processMetrics: false }),
    bus: world.bus,
    pool: world.database.pool,
    databaseUrl: world.database.url,
  });
  await relay.start();
});
afterAll(async () => {
  await relay.stop();
  await world[Symbol.asyncDispose]();
});

test("what happens to a device's commands comes out of the bus in order, under the key of the device", async () => {
  const records: BusRecord[] = [];
  const subscription = await world.bus.subscribe({ group: 'listener', topics: [topics.events] }, async (batch) => {
    records.push(...batch.records);
  });
  const deviceId = await world.register();
  const first = await send(actions, { deviceId, parameters: { celsius: 21 } });
  const second = await send(actions, { deviceId });
  const { cancelCommand } = await actions.data<{ cancelCommand: Sent }>(cancelMutation, {
    input: { id: first.command.id },
  });
  await world.signal({
    type: 'io.fleetgraph.command.acknowledged.v1',
    data: { commandId: second.command.id, deviceId, status: 'SUCCEEDED', result: 1, at: Date.now() },
  });
  const events = await eventually(() => {
    const ofDevice = records.filter(({ key }) => key === deviceId).map(decode);
    expect(ofDevice).toHaveLength(5);
    return ofDevice;
  });
  expect(events.map(({ type }) => type.replace(/^io\.fleetgraph\.|\.v1$/g, ''))).toEqual([
    'device.registered',
    'command.requested',
    'command.requested',
    'command.canceled',
    'command.succeeded',
  ]);
  const tokens = [first, second, cancelCommand].map(({ consistencyToken }) => eventIdOf(consistencyToken));
  expect(events.slice(1, 4).map(({ id }) => id)).toEqual(tokens);
  expect(events[1]).toMatchObject({
    source: '/actions',
    subject: deviceId,
    tenant: 'acme',
    actor: 'tester',
    time: first.command.createdAt,
    data: { commandId: first.command.id, deviceId, name: 'setpoint', parameters: { celsius: 21 } },
  });
  await subscription.stop();
});
