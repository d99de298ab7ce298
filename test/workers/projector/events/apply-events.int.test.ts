import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DomainEventType, EventData } from '../../../../backbone/events/catalogue.js';
import { makeEvent, type Event } from '../../../../backbone/events/envelope.js';
import { applyEvents } from '../../../../workers/projector/events/apply-events.js';
import { createDatabase, type TestDatabase } from '../../../world/database.js';

let database: TestDatabase;
let tenants = 0;
const newTenant = (): string => `tenant-${(tenants += 1)}`;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

function event<T extends DomainEventType>(tenant: string, type: T, data: EventData<T>): Event<DomainEventType> {
  const subject = 'deviceId' in data ? data.deviceId : 'subject';
  return makeEvent({ source: '/test', type, subject, tenant, data }) as Event<DomainEventType>;
}

const registered = (tenant: string, deviceId: string, name = 'Boiler') =>
  event(tenant, 'io.fleetgraph.device.registered.v1', { deviceId, name, typeId: 'boiler', labels: { site: 'north' } });

const requested = (tenant: string, commandId: string) =>
  event(tenant, 'io.fleetgraph.command.requested.v1', {
    commandId,
    deviceId: 'device',
    name: 'setpoint',
    parameters: { celsius: 21 },
    expiresAt: '2030-01-01T00:00:00.000Z',
  });

async function commandOf(id: string): Promise<unknown> {
  const { rows } = await database.pool.query<{ document: unknown }>(
    'SELECT document FROM projections.commands WHERE id = $1',
    [id],
  );
  return rows[0]?.document;
}

test('keeps the registry as the events say, and the log in their order', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  const events = [
    registered(tenant, id),
    event(tenant, 'io.fleetgraph.device.updated.v1', { deviceId: id, name: 'Kettle', typeId: 'kettle', labels: {} }),
    event(tenant, 'io.fleetgraph.device.credentials-rotated.v1', { deviceId: id, clientId: 'c' }),
    event(tenant, 'io.fleetgraph.device.decommissioned.v1', { deviceId: id }),
  ];
  await applyEvents(database, 0, events);
  const { rows: devices } = await database.pool.query('SELECT * FROM projections.devices WHERE device_id = $1', [id]);
  expect(devices).toEqual([
    { device_id: id, tenant, name: 'Kettle', type_id: 'kettle', labels: {}, active: false, revision: 4 },
  ]);
  const { rows: log } = await database.pool.query<{ id: string; seq: bigint }>(
    'SELECT id, seq FROM projections.event_log WHERE tenant = $1 ORDER BY seq',
    [tenant],
  );
  expect(log.map((row) => row.id)).toEqual(events.map((each) => each.id));
  const { rows: changes } = await database.pool.query<{ entity_id: string; seq: bigint }>(
    `SELECT entity_id, seq FROM projections.changes WHERE tenant = $1 AND entity = 'event' ORDER BY seq`,
    [tenant],
  );
  expect(changes.map((row) => [row.entity_id, row.seq])).toEqual(log.map((row) => [row.id, row.seq]));
});

test('a delivery again, whole or in part, of one or in two batches at once, has no effect', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  const events = [
    registered(tenant, id, 'first'),
    event(tenant, 'io.fleetgraph.device.updated.v1', { deviceId: id, name: 'second', typeId: 'boiler', labels: {} }),
  ];
  const [first] = events;
  if (first === undefined) throw new Error('no event');
  const results = await Promise.all([
    applyEvents(database, 1, events),
    applyEvents(database, 1, events),
    applyEvents(database, 1, [first, ...events]),
  ]);
  expect(results.map((changes) => changes.length).sort()).toEqual([0, 0, 2]);
  expect(await applyEvents(database, 1, [first])).toEqual([]);
  const { rows } = await database.pool.query('SELECT name, revision FROM projections.devices WHERE device_id = $1', [
    id,
  ]);
  expect(rows).toEqual([{ name: 'second', revision: 2 }]);
});

test('follows a command to its end and never leaves it', async () => {
  const tenant = newTenant();
  const id = `${tenant}-command`;
  const step = { commandId: id, deviceId: 'device' };
  await applyEvents(database, 0, [requested(tenant, id)]);
  expect(await commandOf(id)).toMatchObject({ id, status: 'QUEUED', parameters: { celsius: 21 }, result: null });
  const changes = await applyEvents(database, 0, [
    event(tenant, 'io.fleetgraph.command.sent.v1', step),
    event(tenant, 'io.fleetgraph.command.delivered.v1', step),
    event(tenant, 'io.fleetgraph.command.succeeded.v1', { ...step, result: { ok: true } }),
    event(tenant, 'io.fleetgraph.command.expired.v1', step),
  ]);
  expect(await commandOf(id)).toMatchObject({ status: 'SUCCEEDED', result: { ok: true } });
  expect(
    changes.flatMap(({ change }) => (change.entity === 'command' ? [[change.payload.status, change.version]] : [])),
  ).toEqual([
    ['SENT', 2n],
    ['DELIVERED', 3n],
    ['SUCCEEDED', 4n],
  ]);
});

test('an event about something that is not known is logged and has no other effect', async () => {
  const tenant = newTenant();
  const unknown = `${tenant}-unknown`;
  const changes = await applyEvents(database, 0, [
    event(tenant, 'io.fleetgraph.command.sent.v1', { commandId: unknown, deviceId: 'device' }),
    event(tenant, 'io.fleetgraph.device.decommissioned.v1', { deviceId: unknown }),
  ]);
  expect(changes.map(({ change }) => change.entity)).toEqual(['event', 'event']);
  expect(await commandOf(unknown)).toBeUndefined();
});

test("another tenant can't change a device or a command by naming its id", async () => {
  const [owner, other] = [newTenant(), newTenant()];
  await applyEvents(database, 0, [registered(owner, `${owner}-device`), requested(owner, `${owner}-command`)]);
  await applyEvents(database, 0, [
    event(other, 'io.fleetgraph.device.decommissioned.v1', { deviceId: `${owner}-device` }),
    event(other, 'io.fleetgraph.command.canceled.v1', { commandId: `${owner}-command`, deviceId: 'device' }),
  ]);
  const { rows } = await database.pool.query('SELECT active FROM projections.devices WHERE device_id = $1', [
    `${owner}-device`,
  ]);
  expect(rows).toEqual([{ active: true }]);
  expect(await commandOf(`${owner}-command`)).toMatchObject({ status: 'QUEUED' });
});
