/** What a token may not see is an error in its place, for every instance of it, and no subgraph hears of it. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Scope } from '../../../platform/identity/identity.js';
import { eventually } from '../../world/eventually.js';
import { startScriptedGateway } from '../execution/scripted-subgraphs.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';
import type { Payload } from '../protocol-client.js';

let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  world.subgraphs.seen.length = 0;
  world.subgraphs.devices.set('acme', [
    { id: 'boiler', name: 'Boiler 1' },
    { id: 'pump', name: 'Pump' },
  ]);
});

async function ask(query: string, scopes: readonly Scope[], url = world.url, issuer = world.issuer) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await issuer.token('acme', scopes)}` },
    body: JSON.stringify({ query }),
  });
  return { status: response.status, answer: (await response.json()) as Payload };
}

test('each place where it would have been has its null and its error, up to what may be null', async () => {
  const query = '{ devices { edges { node { name state { version } } } } }';
  const { status, answer } = await ask(query, ['device:read']);
  expect(status).toBe(200);
  expect(answer.data).toEqual({
    devices: {
      edges: [{ node: { name: 'Boiler 1', state: null } }, { node: { name: 'Pump', state: null } }],
    },
  });
  const message = 'Device.state asks for the scope telemetry:read, which your token lacks.';
  expect(answer.errors).toEqual(
    [0, 1].map((index) => ({
      message,
      path: ['devices', 'edges', index, 'node', 'state'],
      extensions: { code: 'FORBIDDEN' },
    })),
  );
  expect(world.subgraphs.seen.map(({ subgraph }) => subgraph)).toEqual(['device']);
  expect(world.subgraphs.seen.map((seen) => seen.query).join()).not.toContain('state');
});

test('what may not be null takes with it what it is in', async () => {
  const { answer } = await ask('{ device(id: "boiler") { name presence { online } } }', ['device:read']);
  expect(answer.data).toEqual({ device: null });
  expect(answer.errors).toMatchObject([{ path: ['device', 'presence'], extensions: { code: 'FORBIDDEN' } }]);
});

test('a mutation that is not allowed reaches no subgraph', async () => {
  const { answer } = await ask('mutation { updateDevice(input: { id: "pump", name: "x" }) { device { id } } }', [
    'device:read',
  ]);
  expect(answer.data).toBeNull();
  expect(answer.errors).toMatchObject([{ path: ['updateDevice'], extensions: { code: 'FORBIDDEN' } }]);
  expect(world.subgraphs.seen).toEqual([]);
});

test('one operation is one thing to those who may see all of it, and another to those who may not', async () => {
  const query = '{ device(id: "boiler") { name state { version } } }';
  const all: readonly Scope[] = ['device:read', 'telemetry:read'];
  for (const [scopes, state] of [
    [all, { version: 1 }],
    [['device:read'], null],
    [all, { version: 1 }],
  ] as const)
    expect((await ask(query, scopes)).answer.data).toEqual({ device: { name: 'Boiler 1', state } });
});

test('a subscription to what a token may not see is refused, and subscribes to nothing', async () => {
  const client = await world.socket({ scopes: ['device:read'] });
  client.subscribe('s', 'subscription { deviceState(deviceId: "boiler") { cursor } }');
  expect((await client.error('s'))[0]?.extensions).toEqual({ code: 'FORBIDDEN' });
  expect(world.subgraphs.live.open).toEqual([]);
});

test('a part of a subscription that a token may not see is an error in each payload, and is not fetched', async () => {
  const client = await world.socket({ scopes: ['device:read', 'telemetry:read'] });
  const query =
    'subscription { deviceState(deviceId: "boiler") { cursor device { name commands { edges { cursor } } } } }';
  client.subscribe('s', query);
  await eventually(() => expect(world.subgraphs.live.open).toHaveLength(1));
  world.subgraphs.live.push({ cursor: 'c1', snapshot: false, device: { id: 'boiler' } });
  const payload = await client.payload('s');
  expect(payload.errors).toMatchObject([
    { path: ['deviceState', 'device', 'commands'], extensions: { code: 'FORBIDDEN' } },
  ]);
  expect(world.subgraphs.seen.filter(({ subgraph }) => subgraph === 'actions')).toEqual([]);
  await world.disconnect();
});

test('by a setting an operation is refused as a whole', async () => {
  await using strict = await startGateway({ settings: { GATEWAY_AUTHORIZATION: 'refuse' } });
  const { status, answer } = await ask(
    '{ device(id: "boiler") { name state { version } } }',
    ['device:read'],
    ...([strict.url, strict.issuer] as const),
  );
  expect(status).toBe(403);
  expect(answer).not.toHaveProperty('data');
  expect(answer.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  // Whether they are there is asked at the start.
  expect(strict.subgraphs.seen.filter((seen) => seen.query !== '{ __typename }')).toEqual([]);
});

test('what finds an entity goes between subgraphs whoever may see it, and to who may not see it it is never shown', async () => {
  const part = (fields: string) =>
    `type Part @key(fields: "serial") { serial: ID! @federation__requiresScopes(scopes: [["device:write"]]) ${fields} }`;
  await using parts = await startScriptedGateway(
    { shop: `type Query { part: Part } ${part('name: String')}`, stock: part('count: Int') },
    {},
    world.issuer.verifyToken,
  );
  parts.scripts.set('shop', () => ({ data: { part: { __typename: 'Part', serial: 'secret', name: 'Bolt' } } }));
  parts.scripts.set('stock', () => ({ data: { _entities: [{ count: 3 }] } }));
  const answer = await parts.ask('{ part { name count } }', {
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${await world.issuer.token('acme', ['device:read'])}`,
    },
  });
  expect(answer).toEqual({ data: { part: { name: 'Bolt', count: 3 } } });
  expect(parts.requests.at(-1)?.sent.variables).toEqual({
    representations: [{ __typename: 'Part', serial: 'secret' }],
  });
  const asked = await parts.ask('{ part { count id: serial } }', {
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${await world.issuer.token('acme', ['device:read'])}`,
    },
  });
  expect(asked).toMatchObject({
    data: { part: null },
    errors: [{ path: ['part', 'id'], extensions: { code: 'FORBIDDEN' } }],
  });
  expect(JSON.stringify(asked)).not.toContain('secret');
});
