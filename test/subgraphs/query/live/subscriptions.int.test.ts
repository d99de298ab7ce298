import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Scope } from '../../../../platform/identity/identity.js';
import { eventually } from '../../../world/eventually.js';
import { startReadSide, type ReadSide, type Subscriber } from '../read-side.js';

let side: ReadSide;
let tenants = 0;
const newTenant = (): string => `tenant-${(tenants += 1)}`;
beforeAll(async () => {
  side = await startReadSide();
});
afterAll(() => side[Symbol.asyncDispose]());

interface StateUpdate {
  readonly cursor: string;
  readonly snapshot: boolean;
  readonly device: { readonly id: string };
  readonly state: {
    readonly version: number;
    readonly metrics: readonly { name: string; value: unknown }[];
  } | null;
  readonly presence: { readonly online: boolean };
}
interface DeviceStateData {
  readonly deviceState: StateUpdate;
}
const stateFields = 'cursor snapshot device { id } state { version metrics { name value } } presence { online }';
const deviceState = `subscription ($id: ID!, $since: String) { deviceState(deviceId: $id, since: $since) { ${stateFields} } }`;

const versionsOf = ({ received }: Subscriber<DeviceStateData>): unknown[] =>
  received.map(({ deviceState: { state } }) => state?.version ?? null);

test('deviceState begins with null for a device without a state, then gives each change', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  const subscriber = await side.subscribe<DeviceStateData>(tenant, deviceState, { id });
  await eventually(() => expect(subscriber.received).toHaveLength(1));
  expect(subscriber.received[0]?.deviceState).toMatchObject({
    snapshot: true,
    device: { id },
    state: null,
    presence: { online: false },
  });
  await side.telemetry(tenant, id, { temperature: 20 });
  await eventually(() => expect(subscriber.received).toHaveLength(2));
  expect(subscriber.received[1]?.deviceState).toMatchObject({
    snapshot: false,
    state: { version: 1, metrics: [{ name: 'temperature', value: 20 }] },
  });
  await side.presence(tenant, id, true, Date.now());
  await eventually(() => expect(subscriber.received[2]?.deviceState.presence.online).toBe(true));
  expect(versionsOf(subscriber)).toEqual([null, 1, 2]);
  expect(subscriber.errors).toEqual([]);
});

test('deviceState begins with what is there, and resumes behind its cursor with what was missed, each change once', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  await side.telemetry(tenant, id, { n: 1 });
  const projected = (version: bigint) =>
    eventually(async () => {
      const { rows } = await side.database.pool.query<{ version: bigint }>(
        'SELECT version FROM projections.device_states WHERE device_id = $1',
        [id],
      );
      expect(rows[0]?.version).toBe(version);
    });
  await projected(1n);
  const first = await side.subscribe<DeviceStateData>(tenant, deviceState, { id });
  await eventually(() => expect(versionsOf(first)).toEqual([1]));
  first.stop();
  for (let n = 2; n <= 5; n += 1) {
    await side.telemetry(tenant, id, { n });
    await projected(BigInt(n));
  }
  const second = await side.subscribe<DeviceStateData>(tenant, deviceState, {
    id,
    since: first.received[0]?.deviceState.cursor,
  });
  await eventually(() => expect(second.received).toHaveLength(4));
  await side.telemetry(tenant, id, { n: 6 });
  await eventually(() => expect(second.received).toHaveLength(5));
  expect(versionsOf(second)).toEqual([2, 3, 4, 5, 6]);
  expect(second.received.every(({ deviceState: { snapshot } }) => !snapshot)).toBe(true);
});

test('without a gap or a repeat across snapshot, live and reconnects, while writers run at full speed', async () => {
  const tenant = newTenant();
  const ids = Array.from({ length: 4 }, (_, n) => `${tenant}-${n}`);
  const id = ids[0] ?? '';
  let writing = true;
  const writer = (async () => {
    for (let n = 0; writing; n += 1)
      await Promise.all(ids.map((each) => side.telemetry(tenant, each, { n }, Date.now() - 10_000 + n)));
  })();
  // Telemetry streams skip nothing: what they give must be what the log has behind the first snapshot.
  const telemetry = `subscription ($id: ID!, $since: String) {
    telemetry(deviceId: $id, since: $since) { cursor snapshot readings { metric value } } }`;
  interface TelemetryData {
    readonly telemetry: {
      readonly cursor: string;
      readonly snapshot: boolean;
      readonly readings: readonly { value: number }[];
    };
  }
  const all: TelemetryData['telemetry'][] = [];
  let since: string | undefined;
  for (let connection = 0; connection < 6; connection += 1) {
    const subscriber = await side.subscribe<TelemetryData>(tenant, telemetry, { id, since });
    await eventually(() => expect(subscriber.received.length).toBeGreaterThan(15));
    subscriber.stop();
    const payloads = subscriber.received.map((data) => data.telemetry);
    all.push(...payloads);
    since = payloads.at(-1)?.cursor;
    expect(subscriber.errors).toEqual([]);
    expect(payloads.map(({ snapshot }) => snapshot)).toEqual(
      payloads.map((_, index) => connection === 0 && index === 0),
    );
  }
  writing = false;
  await writer;
  const seqOf = (cursor: string | undefined): string =>
    (JSON.parse(Buffer.from(cursor ?? '', 'base64url').toString()) as { s: string }).s;
  const { rows } = await side.database.pool.query<{ payload: { readings: { value: number }[] } }>(
    `SELECT payload FROM projections.changes WHERE tenant = $1 AND entity_id = $2 AND seq > $3::bigint AND seq <= $4::bigint
     ORDER BY seq`,
    [tenant, id, seqOf(all[0]?.cursor), seqOf(since)],
  );
  expect(rows.length).toBeGreaterThan(60);
  expect(all.slice(1).map(({ readings }) => readings.map(({ value }) => value))).toEqual(
    rows.map(({ payload }) => payload.readings.map(({ value }) => value)),
  );
}, 60_000);

test('deviceStates gives one payload for each matching device, then the changes of those that match', async () => {
  const tenant = newTenant();
  const filter = { typeId: 'boiler', labels: [{ key: 'site', value: 'north' }] };
  await side.register(tenant, `${tenant}-north`, { site: 'north' });
  await side.register(tenant, `${tenant}-south`, { site: 'south' });
  await side.register(tenant, `${tenant}-pump`, { site: 'north' }, 'pump');
  await eventually(async () => {
    const { rows } = await side.database.pool.query('SELECT 1 FROM projections.devices WHERE tenant = $1', [tenant]);
    expect(rows).toHaveLength(3);
  });
  const devices = ['north', 'south', 'pump'].map((name) => `${tenant}-${name}`);
  for (const id of devices) await side.telemetry(tenant, id, { n: 1 });
  await eventually(async () => {
    const { rows } = await side.database.pool.query('SELECT 1 FROM projections.device_states WHERE tenant = $1', [
      tenant,
    ]);
    expect(rows).toHaveLength(3);
  });
  const query = `subscription ($filter: DeviceStateFilter, $since: String) { deviceStates(filter: $filter, since: $since) { ${stateFields} } }`;
  const some = await side.subscribe<{ deviceStates: StateUpdate }>(tenant, query, { filter });
  const every = await side.subscribe<{ deviceStates: StateUpdate }>(tenant, query);
  const selected = await side.subscribe<{ deviceStates: StateUpdate }>(tenant, query, {
    filter: { selector: { labels: [{ key: 'site', notIn: ['south'] }], typeIds: ['pump', 'boiler'], ids: devices } },
  });
  await eventually(() => {
    expect(selected.received).toHaveLength(2);
    expect(some.received).toHaveLength(1);
    expect(every.received).toHaveLength(3);
  });
  for (const id of devices) await side.telemetry(tenant, id, { n: 2 });
  await eventually(() => {
    expect(some.received).toHaveLength(2);
    expect(selected.received).toHaveLength(4);
    expect(every.received).toHaveLength(6);
  });
  const ofSelected = selected.received.map(({ deviceStates }) => [deviceStates.device.id, deviceStates.snapshot]);
  expect(ofSelected.slice(0, 2)).toEqual([
    [`${tenant}-north`, true],
    [`${tenant}-pump`, true],
  ]);
  expect(new Set(ofSelected.slice(2).map(([id]) => id))).toEqual(new Set([`${tenant}-north`, `${tenant}-pump`]));
  const refused = await side.subscribe(tenant, query, { filter: { selector: { labels: [{ key: 'site' }] } } });
  await eventually(() => expect(refused.ended()).toBe(true));
  expect(refused.errors).toMatchObject([
    { extensions: { code: 'BAD_USER_INPUT', field: 'filter.selector.labels[0]' } },
  ]);
  expect(some.received.map(({ deviceStates }) => [deviceStates.device.id, deviceStates.snapshot])).toEqual([
    [`${tenant}-north`, true],
    [`${tenant}-north`, false],
  ]);
  // The cursor of the snapshot's last payload resumes behind it.
  const resumed = await side.subscribe<{ deviceStates: StateUpdate }>(tenant, query, {
    since: every.received[2]?.deviceStates.cursor,
  });
  await eventually(() => expect(resumed.received).toHaveLength(3));
  expect(resumed.received.map(({ deviceStates }) => deviceStates.cursor)).toEqual(
    every.received.slice(3).map(({ deviceStates }) => deviceStates.cursor),
  );
});

test('deviceTwin gives the twin, then each change, with what is left; it resumes without a gap', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  interface Twin {
    readonly deviceTwin: {
      cursor: string;
      snapshot: boolean;
      twin: { delta: unknown; inSync: boolean; desired: unknown };
    };
  }
  const query = `subscription ($id: ID!, $since: String) { deviceTwin(deviceId: $id, since: $since) {
    cursor snapshot device { id } twin { delta inSync desired { state version } reported { version } } } }`;
  const subscriber = await side.subscribe<Twin>(tenant, query, { id });
  await eventually(() => expect(subscriber.received).toHaveLength(1));
  expect(subscriber.received[0]?.deviceTwin).toMatchObject({ snapshot: true, twin: { delta: {}, inSync: true } });
  const desire = (version: number, speed: number) =>
    side.event(tenant, 'io.fleetgraph.device.desired-state-set.v1', { deviceId: id, desired: { speed }, version });
  await desire(1, 2);
  await eventually(() => expect(subscriber.received).toHaveLength(2));
  await side.event(tenant, 'io.fleetgraph.device.reported-state-changed.v1', {
    ...{ deviceId: id, reported: { speed: 2, own: 1 }, version: 1 },
  });
  await eventually(() => expect(subscriber.received).toHaveLength(3));
  // What is older than what is known changes nothing, whenever it comes.
  await desire(1, 9);
  await desire(2, 3);
  await eventually(() => expect(subscriber.received).toHaveLength(4));
  expect(subscriber.received.slice(1).map(({ deviceTwin: { twin } }) => [twin.delta, twin.inSync])).toEqual([
    [{ speed: 2 }, false],
    [{}, true],
    [{ speed: 3 }, false],
  ]);
  const resumed = await side.subscribe<Twin>(tenant, query, { id, since: subscriber.received[2]?.deviceTwin.cursor });
  await eventually(() => expect(resumed.received).toHaveLength(1));
  expect(resumed.received[0]).toEqual(subscriber.received[3]);
  const foreign = await side.subscribe<Twin>(newTenant(), query, { id });
  await eventually(() => expect(foreign.received).toHaveLength(1));
  expect(foreign.received[0]?.deviceTwin.twin.desired).toEqual({ state: {}, version: 0 });
});

test('telemetry gives the latest readings first, then new ones, late ones included, of the metrics asked for', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  const now = Date.now();
  await side.telemetry(tenant, id, { temperature: 20, humidity: 40 }, now);
  await eventually(async () => {
    const { rows } = await side.database.pool.query('SELECT 1 FROM projections.device_states WHERE tenant = $1', [
      tenant,
    ]);
    expect(rows).toHaveLength(1);
  });
  interface Data {
    readonly telemetry: {
      readonly snapshot: boolean;
      readonly readings: readonly { metric: string; at: string; value: unknown }[];
    };
  }
  const subscriber = await side.subscribe<Data>(
    tenant,
    `subscription ($id: ID!) { telemetry(deviceId: $id, metrics: ["temperature"]) { snapshot readings { metric at value } } }`,
    { id },
  );
  await eventually(() => expect(subscriber.received).toHaveLength(1));
  await side.telemetry(tenant, id, { humidity: 41 }, now + 1);
  await side.telemetry(tenant, id, { temperature: 19 }, now - 60_000);
  await eventually(() => expect(subscriber.received).toHaveLength(2));
  expect(subscriber.received.map(({ telemetry }) => telemetry)).toEqual([
    { snapshot: true, readings: [{ metric: 'temperature', at: new Date(now).toISOString(), value: 20 }] },
    { snapshot: false, readings: [{ metric: 'temperature', at: new Date(now - 60_000).toISOString(), value: 19 }] },
  ]);
});

interface CommandData {
  readonly command: { readonly cursor: string; readonly snapshot: boolean; readonly status: string };
}
const commandQuery = `subscription ($id: ID!, $since: String) { command(id: $id, since: $since) { cursor snapshot status command { id } } }`;

test('command waits for one that was just sent, follows it and ends by itself', async () => {
  const tenant = newTenant();
  const commandId = `${tenant}-command`;
  const deviceId = `${tenant}-device`;
  const subscriber = await side.subscribe<CommandData>(tenant, commandQuery, { id: commandId });
  await side.event(tenant, 'io.fleetgraph.command.requested.v1', {
    commandId,
    deviceId,
    name: 'setpoint',
    parameters: {},
    expiresAt: '2030-01-01T00:00:00Z',
  });
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

test("no stream gives another tenant's changes", async () => {
  const [owner, other] = [newTenant(), newTenant()];
  const id = `${owner}-device`;
  const queries = [
    [deviceState, { id }],
    [`subscription { deviceStates { ${stateFields} } }`, {}],
    ['subscription ($id: ID!) { telemetry(deviceId: $id) { snapshot readings { metric } } }', { id }],
    ['subscription { events { event { id } } }', {}],
    ['subscription { fleet { fleet { devices } } }', {}],
  ] as const;
  const of = (tenant: string) =>
    Promise.all(queries.map(([query, variables]) => side.subscribe(tenant, query, variables)));
  const [mine, theirs] = [await of(owner), await of(other)];
  await eventually(() => {
    for (const subscribers of [mine, theirs])
      expect(subscribers.map(({ received }) => received.length)).toEqual([1, 0, 1, 0, 1]);
  });
  await side.register(owner, id);
  let turn = 0;
  // Those that begin with nothing may begin behind the first of what happens.
  await eventually(async () => {
    turn += 1;
    await side.register(owner, `${id}-${turn}`);
    await side.telemetry(owner, id, { m: turn });
    await side.presence(owner, id, turn % 2 === 1, Date.now());
    expect(mine.map(({ received }) => received.length > 1)).toEqual([true, true, true, expect.anything(), true]);
    expect(mine[3]?.received.length).toBeGreaterThan(0);
  });
  expect(theirs.map(({ received }) => received.length)).toEqual([1, 0, 1, 0, 1]);
  expect(theirs.flatMap(({ errors }) => errors)).toEqual([]);
});

test.each(['connection', 'operation'] as const)(
  'takes a token by %s, and asks for the scope of each stream',
  async (by) => {
    const tenant = newTenant();
    const subscribe = (query: string, scopes: readonly Scope[]) => side.subscribe(tenant, query, {}, { by, scopes });
    const allowed = await subscribe('subscription { fleet { fleet { devices } } }', ['telemetry:read']);
    await eventually(() => expect(allowed.received).toHaveLength(1));
    const queries = [
      'subscription { deviceState(deviceId: "d") { cursor } }',
      'subscription { deviceStates { cursor } }',
      'subscription { telemetry(deviceId: "d") { cursor } }',
      'subscription { command(id: "c") { cursor } }',
      'subscription { events { cursor } }',
      'subscription { fleet { cursor } }',
    ];
    for (const query of queries) {
      const refused = await subscribe(query, ['device:read']);
      await eventually(() => expect(refused.ended()).toBe(true));
      expect(refused.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
      expect(refused.received).toEqual([]);
    }
  },
);

test('refuses a cursor of another tenant, another stream, or none at all', async () => {
  const [tenant, other] = [newTenant(), newTenant()];
  const first = await side.subscribe<DeviceStateData>(other, deviceState, { id: 'd' });
  await eventually(() => expect(first.received).toHaveLength(1));
  const foreign = first.received[0]?.deviceState.cursor;
  for (const [query, since, owner] of [
    [deviceState, foreign, tenant],
    [deviceState, 'nonsense', tenant],
    ['subscription ($id: ID!, $since: String) { telemetry(deviceId: $id, since: $since) { cursor } }', foreign, other],
  ] as const) {
    const subscriber = await side.subscribe(owner, query, { id: 'd', since });
    await eventually(() => expect(subscriber.ended()).toBe(true));
    expect(subscriber.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field: 'since' } }]);
  }
});

test('a cursor that the log no longer reaches begins a stream of state anew and ends a stream of facts', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  const since = (stream: string): string =>
    Buffer.from(JSON.stringify({ t: tenant, k: stream, s: '0' })).toString('base64url');
  await side.telemetry(tenant, id, { n: 1 });
  await eventually(async () => {
    const { rows } = await side.database.pool.query('SELECT 1 FROM projections.changes WHERE tenant = $1', [tenant]);
    expect(rows).toHaveLength(1);
  });
  await side.database.pool.query('DELETE FROM projections.changes WHERE tenant = $1', [tenant]);
  const state = await side.subscribe<DeviceStateData>(tenant, deviceState, { id, since: since('deviceState') });
  await eventually(() => expect(state.received).toHaveLength(1));
  expect(state.received[0]?.deviceState).toMatchObject({ snapshot: true, state: { version: 1 } });
  const facts = await side.subscribe(
    tenant,
    'subscription ($id: ID!, $since: String) { telemetry(deviceId: $id, since: $since) { cursor } }',
    { id, since: since('telemetry') },
  );
  await eventually(() => expect(facts.ended()).toBe(true));
  expect(facts.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND', field: 'since' } }]);
});

test("a token's end ends its operation with an error, and its connection with 4403", async () => {
  const tenant = newTenant();
  // The verifier tolerates 5 s of clock difference; the end of the token itself is exact.
  const byOperation = await side.subscribe(
    tenant,
    'subscription { fleet { cursor } }',
    {},
    { by: 'operation', lifetimeSeconds: 2 },
  );
  const byConnection = await side.subscribe(tenant, 'subscription { fleet { cursor } }', {}, { lifetimeSeconds: 2 });
  await eventually(() => expect([byOperation.received.length, byConnection.received.length]).toEqual([1, 1]));
  await eventually(() => expect([byOperation.ended(), byConnection.ended()]).toEqual([true, true]));
  expect(byOperation.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  expect(byConnection.errors).toMatchObject([{ code: 4403 }]);
});

test.each([
  ['without any token', { by: 'operation' as const, lifetimeSeconds: 0 }],
  ['with an expired token', { by: 'operation' as const, lifetimeSeconds: -60 }],
])('an operation %s ends with UNAUTHENTICATED and leaves the socket alone', async (_name, as) => {
  const subscriber = await side.subscribe(newTenant(), 'subscription { fleet { cursor } }', {}, as);
  await eventually(() => expect(subscriber.ended()).toBe(true));
  expect(subscriber.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
});

test.each([
  ['a syntax error', 'subscription {'],
  ['an unknown field', 'subscription { nothing }'],
  ['a missing variable', 'subscription ($id: ID!) { deviceState(deviceId: $id) { cursor } }'],
])('%s ends with BAD_USER_INPUT', async (_name, query) => {
  const subscriber = await side.subscribe(newTenant(), query);
  await eventually(() => expect(subscriber.ended()).toBe(true));
  expect(subscriber.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
});
