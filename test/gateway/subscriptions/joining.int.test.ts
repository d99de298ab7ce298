/** What a subscriber gets for one event: the event, joined with what the other subgraphs own. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { FleetgraphError } from '../../../platform/errors.js';
import { eventually } from '../../world/eventually.js';
import { startGateway, type GatewayWorld } from '../gateway-world.js';

let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  await world.disconnect();
  world.subgraphs.failures.clear();
  world.subgraphs.live.refusal = undefined;
  world.subgraphs.devices.set('acme', [
    { id: 'boiler', name: 'Boiler 1', labels: [{ key: 'site', value: 'north' }] },
    { id: 'pump', name: 'Pump' },
  ]);
});

/** A payload of deviceState or deviceStates as the query subgraph's resolvers give it. */
const update = (id: string, version: number, cursor = `cursor-${version}`) => ({
  cursor,
  snapshot: false,
  device: { id },
  state: { version, updatedAt: new Date(0), metrics: [{ name: 'temperature', value: 20 + version, at: new Date(0) }] },
  presence: { online: true, lastSeen: null },
});

async function listening(count = 1): Promise<void> {
  await eventually(() => expect(world.subgraphs.live.open).toHaveLength(count));
}

test('an event is joined with the fields of two other subgraphs', async () => {
  const client = await world.socket();
  client.subscribe(
    's',
    `subscription { deviceState(deviceId: "boiler") {
      cursor state { version } device { id name labels { value } commands { edges { node { id } } } }
    } }`,
  );
  await listening();
  world.subgraphs.live.push(update('boiler', 1));
  expect(await client.payload('s')).toEqual({
    data: {
      deviceState: {
        cursor: 'cursor-1',
        state: { version: 1 },
        device: {
          id: 'boiler',
          name: 'Boiler 1',
          labels: [{ value: 'north' }],
          commands: { edges: [{ node: { id: 'command-of-boiler' } }] },
        },
      },
    },
  });
  client.complete('s');
});

test('aliases, fragments, variables with defaults, @include and __typename mean what they mean in a query', async () => {
  const client = await world.socket();
  client.subscribe(
    's',
    `subscription Watch($id: ID!, $withName: Boolean = true, $withLabels: Boolean = false) {
      __typename
      mine: deviceState(deviceId: $id) { ...Body }
    }
    fragment Body on DeviceStateUpdate {
      __typename
      at: cursor
      same: device { ... on Device { key: id title: name @include(if: $withName) tags: labels @include(if: $withLabels) { key } } }
      other: device { __typename presence { online } }
      state { metrics(names: ["temperature"]) { name, value } }
    }`,
    { id: 'boiler' },
  );
  await eventually(() => expect(client.frames.length).toBeGreaterThan(1));
  // One root field is the rule of the specification, and __typename is one.
  expect(client.types('s')).toEqual(['error']);

  client.subscribe(
    't',
    `subscription Watch($id: ID!, $withName: Boolean = true, $withLabels: Boolean = false) {
      mine: deviceState(deviceId: $id) { ...Body }
    }
    fragment Body on DeviceStateUpdate {
      __typename
      at: cursor
      same: device { ... on Device { key: id title: name @include(if: $withName) tags: labels @include(if: $withLabels) { key } } }
      other: device { __typename presence { online } }
      state { metrics(names: ["temperature"]) { name, value } }
    }`,
    { id: 'boiler' },
  );
  await listening();
  expect(world.subgraphs.live.open[0]?.args).toEqual({ deviceId: 'boiler' });
  world.subgraphs.live.push(update('boiler', 3));
  expect(await client.payload('t')).toEqual({
    data: {
      mine: {
        __typename: 'DeviceStateUpdate',
        at: 'cursor-3',
        same: { key: 'boiler', title: 'Boiler 1' },
        other: { __typename: 'Device', presence: { online: true } },
        state: { metrics: [{ name: 'temperature', value: 23 }] },
      },
    },
  });
  client.complete('t');
});

test('an event that holds everything costs no fetch', async () => {
  const client = await world.socket();
  client.subscribe('s', 'subscription { deviceStates { cursor device { id } presence { online } } }');
  await listening();
  const before = world.subgraphs.seen.length;
  world.subgraphs.live.push(update('boiler', 1));
  await client.payload('s');
  expect(world.subgraphs.seen.length).toBe(before);
  client.complete('s');
});

test('events come out in order, one in execution at a time', async () => {
  const client = await world.socket();
  client.subscribe('s', 'subscription { deviceStates { cursor device { id name } } }');
  await listening();
  const sent = Array.from({ length: 40 }, (_unused, index) => update(index % 2 ? 'boiler' : 'pump', index));
  for (const payload of sent) world.subgraphs.live.push(payload);
  await client.payload('s', sent.length - 1);
  expect(client.payloads('s').map(({ data }) => (data?.['deviceStates'] as { cursor: string }).cursor)).toEqual(
    sent.map(({ cursor }) => cursor),
  );
  client.complete('s');
});

test('a subgraph that is down costs the fields it owns, with path and code, and the stream goes on', async () => {
  const client = await world.socket();
  client.subscribe('s', 'subscription { deviceState(deviceId: "boiler") { cursor device { id name } } }');
  await listening();
  await world.subgraphs.device.stop();
  try {
    world.subgraphs.live.push(update('boiler', 1));
    const { data, errors } = await client.payload('s');
    // `name` and `device` may not be null, so the null goes up to the root.
    expect(data).toBeNull();
    expect(errors).toEqual([
      {
        message: 'The subgraph "device" does not answer. The same request may be retried.',
        path: ['deviceState', 'device', 'name'],
        extensions: { code: 'UNAVAILABLE' },
      },
    ]);
  } finally {
    await world.subgraphs.device.start();
  }
  world.subgraphs.live.push(update('boiler', 2));
  expect(await client.payload('s', 1)).toEqual({
    data: { deviceState: { cursor: 'cursor-2', device: { id: 'boiler', name: 'Boiler 1' } } },
  });
  client.complete('s');
});

test('an error of a joined field comes with its code and path, and the stream goes on', async () => {
  const client = await world.socket();
  client.subscribe('s', 'subscription { deviceState(deviceId: "boiler") { cursor device { id name } } }');
  await listening();
  world.subgraphs.failures.set('boiler', new FleetgraphError('RATE_LIMITED', 'Too many devices are asked for.'));
  world.subgraphs.live.push(update('boiler', 1));
  expect(await client.payload('s')).toMatchObject({
    data: null,
    errors: [
      {
        message: 'Too many devices are asked for.',
        path: ['deviceState', 'device', 'name'],
        extensions: { code: 'RATE_LIMITED' },
      },
    ],
  });
  world.subgraphs.failures.set('boiler', new Error('password of the database is hunter2'));
  world.subgraphs.live.push(update('boiler', 2));
  const masked = await client.payload('s', 1);
  expect(masked.errors?.[0]?.extensions).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
  expect(JSON.stringify(masked)).not.toContain('hunter2');
  world.subgraphs.failures.clear();
  world.subgraphs.live.push(update('boiler', 3));
  expect((await client.payload('s', 2)).errors).toBeUndefined();
  client.complete('s');
});

test('a device that is gone from the registry is an error of that event, not the end of the stream', async () => {
  const client = await world.socket();
  client.subscribe('s', 'subscription { deviceStates { cursor device { id name } } }');
  await listening();
  world.subgraphs.live.push(update('ghost', 1));
  const { data, errors } = await client.payload('s');
  expect(data).toBeNull();
  expect(errors).toHaveLength(1);
  expect(errors?.[0]?.path?.slice(0, 2)).toEqual(['deviceStates', 'device']);
  world.subgraphs.live.push(update('pump', 2));
  expect((await client.payload('s', 1)).data).toEqual({
    deviceStates: { cursor: 'cursor-2', device: { id: 'pump', name: 'Pump' } },
  });
  client.complete('s');
});

test('joins are made with the token of the subscriber: each tenant sees its own', async () => {
  world.subgraphs.devices.set('rival', [{ id: 'boiler', name: 'Not of acme' }]);
  const [ours, theirs] = [await world.socket(), await world.socket({ tenant: 'rival' })];
  const operation = 'subscription { deviceState(deviceId: "boiler") { cursor device { id name } } }';
  ours.subscribe('s', operation);
  theirs.subscribe('s', operation);
  await listening(2);
  expect(world.subgraphs.live.open.map(({ context }) => context.identity.tenant).sort()).toEqual(['acme', 'rival']);
  world.subgraphs.live.push(update('boiler', 1));
  const name = async (client: typeof ours) =>
    ((await client.payload('s')).data?.['deviceState'] as { device: { name: string } }).device.name;
  expect(await name(ours)).toBe('Boiler 1');
  expect(await name(theirs)).toBe('Not of acme');
  ours.complete('s');
  theirs.complete('s');
});

test('operations that want different things do not meet, on one socket or on two; those that want the same share it', async () => {
  const [first, second] = [await world.socket(), await world.socket()];
  first.subscribe('a', 'subscription { deviceState(deviceId: "boiler") { cursor } }');
  first.subscribe('b', 'subscription { deviceState(deviceId: "pump") { cursor } }');
  second.subscribe('a', 'subscription { deviceState(deviceId: "pump") { cursor } }');
  await listening(2);
  await eventually(async () => expect(await world.metric('fleetgraph_gateway_subscriptions')).toBe(3));
  for (const stream of world.subgraphs.live.open) {
    stream.push(update(String(stream.args['deviceId']), 1, `of ${String(stream.args['deviceId'])}`));
  }
  const cursor = (of: string) => ({ data: { deviceState: { cursor: of } } });
  expect(await first.payload('a')).toEqual(cursor('of boiler'));
  expect(await first.payload('b')).toEqual(cursor('of pump'));
  expect(await second.payload('a')).toEqual(cursor('of pump'));
  first.complete('a');
  await listening(1);
  for (const stream of world.subgraphs.live.open) stream.push(update('pump', 2, 'later'));
  expect(await first.payload('b', 1)).toEqual(cursor('later'));
  expect(await second.payload('a', 1)).toEqual(cursor('later'));
  expect(first.payloads('a')).toHaveLength(1);
  first.complete('b');
  second.complete('a');
});

test('leaving a stream that is silent stops it at its subgraph at once', async () => {
  const client = await world.socket();
  client.subscribe('s', 'subscription { deviceState(deviceId: "boiler") { cursor } }');
  await listening();
  client.complete('s');
  await eventually(() => expect(world.subgraphs.live.open).toEqual([]), 2_000);
  await eventually(async () => expect(await world.metric('fleetgraph_gateway_subscriptions')).toBe(0));
});

test('a socket that breaks stops all of its streams at their subgraph', async () => {
  const client = await world.socket();
  for (const id of ['a', 'b', 'c']) client.subscribe(id, `subscription { deviceState(deviceId: "${id}") { cursor } }`);
  await listening(3);
  expect(await world.metric('fleetgraph_gateway_subscriptions')).toBe(3);
  client.socket.terminate();
  await eventually(() => expect(world.subgraphs.live.open).toEqual([]), 2_000);
  await eventually(async () => expect(await world.metric('fleetgraph_gateway_subscriptions')).toBe(0));
});

test('a stream that its subgraph ends is completed', async () => {
  const client = await world.socket();
  client.subscribe('s', 'subscription { command(id: "c1") { status command { id name } } }');
  await listening();
  world.subgraphs.live.push({ cursor: 'c', snapshot: false, status: 'SUCCEEDED', command: { id: 'c1' } });
  world.subgraphs.live.open[0]?.end();
  await eventually(() => expect(client.types('s')).toEqual(['next', 'complete']));
  expect(client.payloads('s')).toEqual([
    { data: { command: { status: 'SUCCEEDED', command: { id: 'c1', name: 'setpoint' } } } },
  ]);
});

test('a stream that its subgraph refuses or fails ends with one error, and the socket goes on', async () => {
  const client = await world.socket();
  world.subgraphs.live.refusal = new FleetgraphError('NOT_FOUND', 'There is no device "boiler".', {
    field: 'deviceId',
  });
  client.subscribe('refused', 'subscription { deviceState(deviceId: "boiler") { cursor } }');
  expect(await client.error('refused')).toEqual([
    { message: 'There is no device "boiler".', extensions: { code: 'NOT_FOUND', field: 'deviceId' } },
  ]);
  world.subgraphs.live.refusal = undefined;

  client.subscribe('failed', 'subscription { deviceState(deviceId: "boiler") { cursor } }');
  await listening();
  world.subgraphs.live.push(update('boiler', 1));
  await client.payload('failed');
  world.subgraphs.live.open[0]?.end(new FleetgraphError('NOT_FOUND', 'The device is gone.'));
  expect(await client.error('failed')).toEqual([{ message: 'The device is gone.', extensions: { code: 'NOT_FOUND' } }]);

  client.subscribe('good', 'subscription { deviceState(deviceId: "boiler") { cursor } }');
  await listening();
  world.subgraphs.live.push(update('boiler', 2));
  await client.payload('good');
  expect(client.types('refused')).toEqual(['error']);
  expect(client.types('failed')).toEqual(['next', 'error']);
  client.complete('good');
});

test('a scope that the subgraph misses is FORBIDDEN', async () => {
  const client = await world.socket({ scopes: ['device:read'] });
  client.subscribe('s', 'subscription { deviceStates { cursor } }');
  expect(await client.error('s')).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
});
