import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { consistencyTokenOf } from '../../../backbone/events/consistency-token.js';
import { eventually } from '../../world/eventually.js';
import { startReadSide, type ReadSide } from './read-side.js';

let side: ReadSide;
let tenants = 0;
const newTenant = (): string => `tenant-${(tenants += 1)}`;
beforeAll(async () => {
  side = await startReadSide();
});
afterAll(() => side[Symbol.asyncDispose]());

const deviceQuery = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { id
  state { version updatedAt metrics(names: ["humidity", "temperature", "none"]) { name value at } }
  presence { online lastSeen } } } }`;

interface Entities {
  readonly _entities: readonly {
    readonly id: string;
    readonly state: { readonly version: number; readonly metrics: readonly { name: string; value: unknown }[] } | null;
    readonly presence: { readonly online: boolean; readonly lastSeen: string | null };
  }[];
}

async function deviceOf(tenant: string, id: string): Promise<Entities['_entities'][number]> {
  const answer = await side.ask<Entities>(tenant, deviceQuery, { r: [{ __typename: 'Device', id }] });
  expect(answer.errors).toBeUndefined();
  const [device] = answer.data?._entities ?? [];
  if (device === undefined) throw new Error('no device');
  return device;
}

test('shows state and presence of a device as its readings and signals say', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  await side.telemetry(tenant, id, { temperature: 20, humidity: 40, mode: 'eco' }, 1_000 + Date.now() - 60_000);
  await side.presence(tenant, id, true, Date.now());
  await side.telemetry(tenant, id, { temperature: 21.5 });
  await eventually(async () => {
    const device = await deviceOf(tenant, id);
    expect(device.state?.metrics.map(({ name, value }) => [name, value])).toEqual([
      ['humidity', 40],
      ['temperature', 21.5],
    ]);
    expect(device.presence.online).toBe(true);
  });
});

test('a device that nobody heard from has no state and is offline', async () => {
  expect(await deviceOf(newTenant(), 'never-heard-of')).toEqual({
    id: 'never-heard-of',
    state: null,
    presence: { online: false, lastSeen: null },
  });
});

test('shows nothing of one tenant to another, on any field', async () => {
  const [owner, other] = [newTenant(), newTenant()];
  const id = `${owner}-device`;
  await side.register(owner, id);
  await side.telemetry(owner, id, { temperature: 20 });
  await side.presence(owner, id, true, Date.now());
  const everything = `query ($r: [_Any!]!, $from: DateTime!) {
    _entities(representations: $r) { ... on Device { state { version } presence { online lastSeen }
      telemetry(metric: "temperature", from: $from) { points { last } } } }
    fleet { devices online byType { typeId } }
    events { edges { node { id } } } }`;
  const variables = { r: [{ __typename: 'Device', id }], from: new Date(Date.now() - 3_600_000).toISOString() };
  await eventually(async () => {
    expect((await side.ask(owner, everything, variables)).data).toMatchObject({
      _entities: [{ state: { version: 2 }, presence: { online: true }, telemetry: { points: [{ last: 20 }] } }],
      fleet: { devices: 1, online: 1, byType: [{ typeId: 'boiler' }] },
      events: { edges: [{}] },
    });
  });
  expect(await side.ask(other, everything, variables)).toEqual({
    data: {
      _entities: [{ state: null, presence: { online: false, lastSeen: null }, telemetry: { points: [] } }],
      fleet: { devices: 0, online: 0, byType: [] },
      events: { edges: [] },
    },
  });
});

test('asks for the scope of each field', async () => {
  const tenant = newTenant();
  const headers = { authorization: `Bearer ${await side.issuer.token(tenant, ['device:read'])}` };
  const codes = async (query: string, variables = {}): Promise<unknown> =>
    (await side.ask(tenant, query, variables, headers)).errors?.map(({ extensions }) => extensions?.code);
  expect(await codes('{ fleet { devices } }')).toEqual(['FORBIDDEN']);
  expect(await codes('{ events { edges { cursor } } }')).toEqual(['FORBIDDEN']);
  for (const field of [
    'state { version }',
    'presence { online }',
    'telemetry(metric: "m", from: "2026-01-01T00:00:00Z") { metric }',
  ])
    expect(
      await codes(`query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { ${field} } } }`, {
        r: [{ __typename: 'Device', id: 'd' }],
      }),
    ).toEqual(['FORBIDDEN']);
});

test('counts the fleet by type, without the decommissioned', async () => {
  const tenant = newTenant();
  const id = (n: number): string => `${tenant}-${n}`;
  for (let n = 0; n < 4; n += 1) await side.register(tenant, id(n), {}, n < 3 ? 'boiler' : 'pump');
  await side.event(tenant, 'io.fleetgraph.device.decommissioned.v1', { deviceId: id(0) });
  await side.presence(tenant, id(1), true, Date.now());
  await side.presence(tenant, id(3), true, Date.now());
  await eventually(async () => {
    const answer = await side.ask(tenant, '{ fleet { devices online byType { typeId devices online } } }');
    expect(answer.data).toEqual({
      fleet: {
        devices: 3,
        online: 2,
        byType: [
          { typeId: 'boiler', devices: 2, online: 1 },
          { typeId: 'pump', devices: 1, online: 1 },
        ],
      },
    });
  });
});

test('a request with a consistency token sees the mutation, as an entity request does', async () => {
  const tenant = newTenant();
  for (let n = 0; n < 10; n += 1) {
    const event = await side.register(tenant, `${tenant}-${n}`);
    const headers = { 'x-fleetgraph-consistency': consistencyTokenOf(event.id) };
    const answer = await side.ask<{ fleet: { devices: number } }>(tenant, '{ fleet { devices } }', {}, headers);
    expect(answer).toEqual({ data: { fleet: { devices: n + 1 } } });
  }
  const event = await side.event(tenant, 'io.fleetgraph.device.decommissioned.v1', { deviceId: `${tenant}-0` });
  const log = await side.ask<{ events: { edges: { node: { id: string } }[] } }>(
    tenant,
    '{ events(first: 1) { edges { node { id } } } }',
    {},
    { 'x-fleetgraph-consistency': consistencyTokenOf(event.id) },
  );
  expect(log.data?.events.edges[0]?.node.id).toBe(event.id);
});

test('a token whose event does not come in time is answered with UNAVAILABLE, and another tenant gets no answer by it', async () => {
  const [owner, other] = [newTenant(), newTenant()];
  const event = await side.register(owner, `${owner}-device`);
  for (const [tenant, id] of [
    [owner, randomUUID()],
    [other, event.id],
  ] as const) {
    const headers = { 'x-fleetgraph-consistency': consistencyTokenOf(id) };
    const answer = await side.ask(tenant, deviceQuery, { r: [{ __typename: 'Device', id: 'd' }] }, headers);
    expect(answer.errors?.map(({ extensions }) => extensions?.code)).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
  }
  const nonsense = await side.ask(owner, '{ fleet { devices } }', {}, { 'x-fleetgraph-consistency': 'nonsense' });
  expect(nonsense.errors?.[0]?.extensions?.code).toBe('BAD_USER_INPUT');
});

test('pages through the event log newest first, each event once, while events are added', async () => {
  const tenant = newTenant();
  const ids: string[] = [];
  for (let n = 0; n < 25; n += 1) {
    const deviceId = `${tenant}-${n % 5}`;
    const data = { deviceId, name: deviceId, typeId: 'boiler', labels: {} };
    ids.push((await side.event(tenant, 'io.fleetgraph.device.registered.v1', data)).id);
  }
  interface Page {
    readonly events: {
      readonly edges: readonly { readonly node: { readonly id: string } }[];
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
    };
  }
  const page = async (after: string | null, filter?: object): Promise<Page['events']> => {
    const answer = await side.ask<Page>(
      tenant,
      `query ($after: String, $filter: EventFilter) { events(first: 10, after: $after, filter: $filter) {
        edges { node { id } } pageInfo { hasNextPage endCursor } } }`,
      { after, filter },
    );
    if (!answer.data) throw new Error(JSON.stringify(answer.errors));
    return answer.data.events;
  };
  const { rows } = await eventually(async () => {
    const result = await side.database.pool.query<{ id: string }>(
      'SELECT id FROM projections.event_log WHERE tenant = $1 ORDER BY seq DESC',
      [tenant],
    );
    expect(result.rows).toHaveLength(25);
    return result;
  });
  expect(new Set(rows.map(({ id }) => id))).toEqual(new Set(ids));
  const seen: string[] = [];
  let after: string | null = null;
  let more = true;
  while (more) {
    const { edges, pageInfo }: Page['events'] = await page(after);
    seen.push(...edges.map(({ node }) => node.id));
    await side.register(tenant, `${tenant}-new-${seen.length}`);
    after = pageInfo.endCursor;
    more = pageInfo.hasNextPage;
  }
  expect(seen).toEqual(rows.map(({ id }) => id));

  const filtered = await page(null, { subject: `${tenant}-0`, types: ['io.fleetgraph.device.registered.v1'] });
  expect(filtered.edges).toHaveLength(5);
  expect((await page(null, { types: ['io.fleetgraph.device.updated.v1'] })).edges).toEqual([]);
  expect((await page(null, { from: new Date(Date.now() + 60_000).toISOString() })).edges).toEqual([]);
});

test.each([
  ['a page that is too large', '{ events(first: 201) { edges { cursor } } }', 'first'],
  ['a cursor that is none', '{ events(after: "nonsense") { edges { cursor } } }', 'after'],
])('refuses %s', async (_name, query, field) => {
  expect((await side.ask(newTenant(), query)).errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field });
});

test.each([
  ['an empty range', 'from: "2026-01-02T00:00:00Z", to: "2026-01-02T00:00:00Z"', 'from'],
  ['no points', 'from: "2026-01-02T00:00:00Z", maxPoints: 0', 'maxPoints'],
  ['too many points', 'from: "2026-01-02T00:00:00Z", maxPoints: 5001', 'maxPoints'],
])('refuses %s of history', async (_name, args, field) => {
  const answer = await side.ask(
    newTenant(),
    `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Device { telemetry(metric: "m", ${args}) { metric } } } }`,
    { r: [{ __typename: 'Device', id: 'd' }] },
  );
  expect(answer.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field });
});

test('text that the database can not hold is the fault of the argument', async () => {
  for (const query of [
    '{ events(filter: { subject: "a\\u0000b" }) { edges { cursor } } }',
    '{ _entities(representations: [{ __typename: "Device", id: "a\\u0000b" }]) { ... on Device { state { version } } } }',
  ])
    expect((await side.ask(newTenant(), query)).errors?.[0]?.extensions?.code).toBe('BAD_USER_INPUT');
});
