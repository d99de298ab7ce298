/** The streams of devices: states, twins, readings. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../../world/eventually.js';
import { startReadSide, type ReadSide, type Subscriber } from '../read-side.js';
import { deviceState, stateFields, type DeviceStateData, type StateUpdate } from './device-state-stream.js';

let side: ReadSide;
let tenants = 0;
const newTenant = (): string => `tenant-${(tenants += 1)}`;
beforeAll(async () => {
  side = await startReadSide();
});
afterAll(() => side[Symbol.asyncDispose]());

const versionsOf = ({ received }: Subscriber<DeviceStateData>): unknown[] =>
  received.map(({ deviceState: { state } }) => state?.version ?? null);

test('deviceState begins with null for a device without a state, then gives each change', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  await side.register(tenant, id);
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
  await side.register(tenant, id);
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
  await side.register(tenant, id);
  const subscriber = await side.subscribe<Twin>(tenant, query, { id });
  await eventually(() => expect(subscriber.received).toHaveLength(1));
  expect(subscriber.received[0]?.deviceTwin).toMatchObject({ snapshot: true, twin: { delta: {}, inSync: true } });
  const desire = (version: number, speed: number) =>
    side.event(tenant, 'io.fleetgraph.device.desired-state-set.v1', { deviceId: id, desired: { speed }, version });
  await desire(1, 2);
  await eventually(() => expect(subscriber.received).toHaveLength(2));
  await side.event(tenant, 'io.fleetgraph.device.reported-state-changed.v1', {
    deviceId: id,
    reported: { speed: 2, own: 1 },
    version: 1,
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
  await eventually(() => expect(foreign.ended()).toBe(true));
  expect(foreign.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND', field: 'deviceId' } }]);
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
