/** The streams of commands, events and the fleet. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../../world/eventually.js';
import { startReadSide, type ReadSide } from '../read-side.js';

let side: ReadSide;
let tenants = 0;
const newTenant = (): string => `tenant-${(tenants += 1)}`;
beforeAll(async () => {
  side = await startReadSide();
});
afterAll(() => side[Symbol.asyncDispose]());

interface CommandData {
  readonly command: { readonly cursor: string; readonly snapshot: boolean; readonly status: string };
}
const commandQuery = `subscription ($id: ID!, $since: String) { command(id: $id, since: $since) { cursor snapshot status command { id } } }`;

test('command waits for one that was just sent, follows it and ends by itself', async () => {
  const tenant = newTenant();
  const commandId = `${tenant}-command`;
  const deviceId = `${tenant}-device`;
  const requested = await side.store(tenant, `command-${commandId}`, 'io.fleetgraph.command.requested.v1', {
    commandId,
    deviceId,
    name: 'setpoint',
    parameters: {},
    expiresAt: '2030-01-01T00:00:00Z',
  });
  const subscriber = await side.subscribe<CommandData>(tenant, commandQuery, { id: commandId });
  await side.relay(requested);
  await eventually(() => expect(subscriber.received).toHaveLength(1));
  await side.event(tenant, 'io.fleetgraph.command.sent.v1', { commandId, deviceId });
  await side.event(tenant, 'io.fleetgraph.command.succeeded.v1', { commandId, deviceId, result: 1 });
  await eventually(() => expect(subscriber.ended()).toBe(true));
  expect(subscriber.received.map(({ command }) => [command.status, command.snapshot])).toEqual([
    ['QUEUED', true],
    ['SENT', false],
    ['SUCCEEDED', false],
  ]);
  expect(subscriber.errors).toEqual([]);
  const again = await side.subscribe<CommandData>(tenant, commandQuery, { id: commandId });
  await eventually(() => expect(again.ended()).toBe(true));
  expect(again.received.map(({ command }) => [command.status, command.snapshot])).toEqual([['SUCCEEDED', true]]);
  for (const [index, rest] of [
    [0, ['SENT', 'SUCCEEDED']],
    [2, []],
  ] as const) {
    const since = subscriber.received[index]?.command.cursor;
    const resumed = await side.subscribe<CommandData>(tenant, commandQuery, { id: commandId, since });
    await eventually(() => expect(resumed.ended()).toBe(true));
    expect(resumed.received.map(({ command }) => command.status)).toEqual(rest);
  }
});

test('command of an unknown id, or of another tenant, ends with NOT_FOUND', async () => {
  const [owner, other] = [newTenant(), newTenant()];
  const commandId = `${owner}-command`;
  await side.event(owner, 'io.fleetgraph.command.requested.v1', {
    commandId,
    deviceId: 'd',
    name: 'n',
    parameters: {},
    expiresAt: '2030-01-01T00:00:00Z',
  });
  const subscriber = await side.subscribe<CommandData>(other, commandQuery, { id: commandId });
  await eventually(() => expect(subscriber.ended()).toBe(true));
  expect(subscriber.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND', field: 'id' } }]);
});

test('events gives what happens from then on, filtered, and resumes', async () => {
  const tenant = newTenant();
  interface Data {
    readonly events: { readonly cursor: string; readonly event: { readonly id: string; readonly type: string } };
  }
  const query = `subscription ($subject: ID, $types: [String!], $since: String) {
    events(subject: $subject, types: $types, since: $since) { cursor event { id type subject data actor } } }`;
  await side.register(tenant, 'before');
  await eventually(async () => {
    const { rows } = await side.database.pool.query('SELECT 1 FROM projections.event_log WHERE tenant = $1', [tenant]);
    expect(rows).toHaveLength(1);
  });
  const every = await side.subscribe<Data>(tenant, query);
  const some = await side.subscribe<Data>(tenant, query, {
    subject: 'a',
    types: ['io.fleetgraph.device.decommissioned.v1'],
  });
  const running = async (): Promise<number> =>
    (await side.metrics.getSingleMetric('fleetgraph_query_subscriptions')?.get())?.values.find(
      ({ labels }) => labels['stream'] === 'events',
    )?.value ?? 0;
  await eventually(async () => expect(await running()).toBe(2));
  const sent = [
    await side.register(tenant, 'a'),
    await side.event(tenant, 'io.fleetgraph.device.decommissioned.v1', { deviceId: 'a' }),
  ];
  await eventually(() => {
    expect(every.received.map(({ events }) => events.event.id)).toEqual(sent.map(({ id }) => id));
    expect(some.received.map(({ events }) => events.event.id)).toEqual([sent[1]?.id]);
  });
  const resumed = await side.subscribe<Data>(tenant, query, { since: every.received[0]?.events.cursor });
  await eventually(() => expect(resumed.received).toEqual(every.received.slice(1)));
  for (const subscriber of [every, some, resumed]) subscriber.stop();
  await eventually(async () => expect(await running()).toBe(0));
});

test('fleet gives the summary now and when its numbers change', async () => {
  const tenant = newTenant();
  const subscriber = await side.subscribe<{ fleet: { fleet: unknown } }>(
    tenant,
    'subscription { fleet { cursor fleet { devices online } } }',
  );
  await eventually(() => expect(subscriber.received).toMatchObject([{ fleet: { fleet: { devices: 0, online: 0 } } }]));
  await side.register(tenant, `${tenant}-device`);
  await eventually(() =>
    expect(subscriber.received.at(-1)).toMatchObject({ fleet: { fleet: { devices: 1, online: 0 } } }),
  );
  await side.presence(tenant, `${tenant}-device`, true, Date.now());
  await eventually(() =>
    expect(subscriber.received.at(-1)).toMatchObject({ fleet: { fleet: { devices: 1, online: 1 } } }),
  );
});
