/** Who is given what of the streams: tenants, tokens and scopes, cursors that are not theirs or too old. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Scope } from '../../../../platform/identity/identity.js';
import { eventually } from '../../../world/eventually.js';
import { startReadSide, type ReadSide } from '../read-side.js';
import { deviceState, stateFields, type DeviceStateData } from './device-state-stream.js';

let side: ReadSide;
let tenants = 0;
const newTenant = (): string => `tenant-${(tenants += 1)}`;
beforeAll(async () => {
  side = await startReadSide();
});
afterAll(() => side[Symbol.asyncDispose]());

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
  await side.register(owner, id);
  const [mine, theirs] = [await of(owner), await of(other)];
  await eventually(() => {
    const received = [mine, theirs].map((subscribers) => subscribers.map((one) => one.received.length));
    expect(received).toEqual([
      [1, 0, 1, expect.anything(), 1],
      [0, 0, 0, 0, 1],
    ]);
  });
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
  expect(theirs.map(({ received }) => received.length)).toEqual([0, 0, 0, 0, 1]);
  const refusal = [{ extensions: { code: 'NOT_FOUND', field: 'deviceId' } }];
  expect(theirs.map(({ errors }) => errors)).toMatchObject([refusal, [], refusal, [], []]);
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
  for (const owner of [tenant, other]) await side.register(owner, `${owner}-device`);
  const first = await side.subscribe<DeviceStateData>(other, deviceState, { id: `${other}-device` });
  await eventually(() => expect(first.received).toHaveLength(1));
  const foreign = first.received[0]?.deviceState.cursor;
  for (const [query, since, owner] of [
    [deviceState, foreign, tenant],
    [deviceState, 'nonsense', tenant],
    ['subscription ($id: ID!, $since: String) { telemetry(deviceId: $id, since: $since) { cursor } }', foreign, other],
  ] as const) {
    const subscriber = await side.subscribe(owner, query, { id: `${owner}-device`, since });
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
