/** Nothing crosses a tenant: every operation, subscription, topic and row is tried by a stranger with all scopes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { startPlatform, topic, type RegisteredDevice, type TestPlatform } from '../world/platform.js';

const stranger = { tenant: 'umbrella' };
let platform: TestPlatform;
let device: RegisteredDevice;
let commandId: string;
beforeAll(async () => {
  platform = await startPlatform();
  device = await platform.registerDevice({ name: 'Secret boiler', labels: [{ key: 'site', value: 'vault' }] });
  const client = await platform.connect(device);
  await client.publishAsync(topic(device, 'telemetry'), '{"n": 42}', { qos: 1 });
  const { sendCommand } = await platform.data<{ sendCommand: { command: { id: string } } }>(
    'mutation S($id: ID!) { sendCommand(input: { deviceId: $id, name: "open" }) { command { id } } }',
    { id: device.id },
  );
  commandId = sendCommand.command.id;
  await eventually(async () => {
    const { device: found } = await platform.data<{ device: { state: unknown } }>(
      'query S($id: ID!) { device(id: $id) { state { version } } }',
      { id: device.id },
    );
    expect(found.state).not.toBeNull();
  });
});
afterAll(() => platform[Symbol.asyncDispose]());

test.each([
  [
    'device',
    'query Q($id: ID!) { found: device(id: $id) { id name state { version } presence { online } commands(first: 1) { edges { node { id } } } } }',
  ],
  ['command', 'query Q($command: ID!) { found: command(id: $command) { id } }'],
])('%s of another tenant is not found', async (_name, query) => {
  const { found } = await platform.data<{ found: unknown }>(query, variablesOf(query), stranger);
  expect(found).toBeNull();
});

test.each([
  ['devices', 'query Q { list: devices(first: 50) { edges { node { id } } totalCount } }'],
  ['commands', 'query Q { list: commands(first: 50) { edges { node { id } } } }'],
  ['events', 'query Q { list: events(first: 50) { edges { node { id } } } }'],
])('%s lists nothing of another tenant', async (_name, query) => {
  const { list } = await platform.data<{ list: { edges: unknown[]; totalCount?: number } }>(query, {}, stranger);
  expect(list.edges).toEqual([]);
  expect(list.totalCount ?? 0).toBe(0);
});

test.each([
  ['updateDevice', 'mutation M($id: ID!) { updateDevice(input: { id: $id, name: "mine now" }) { device { id } } }'],
  ['decommissionDevice', 'mutation M($id: ID!) { decommissionDevice(input: { id: $id }) { device { id } } }'],
  [
    'rotateDeviceCredentials',
    'mutation M($id: ID!) { rotateDeviceCredentials(input: { id: $id }) { credentials { password } } }',
  ],
  [
    'setDesiredState',
    'mutation M($id: ID!) { setDesiredState(input: { id: $id, desired: { a: 1 } }) { device { id } } }',
  ],
  ['sendCommand', 'mutation M($id: ID!) { sendCommand(input: { deviceId: $id, name: "open" }) { command { id } } }'],
  ['cancelCommand', 'mutation M($command: ID!) { cancelCommand(input: { id: $command }) { command { id } } }'],
])('%s on a thing of another tenant says NOT_FOUND', { timeout: 40_000 }, async (_name, mutation) => {
  const response = await platform.graphql(mutation, variablesOf(mutation), stranger);
  expect(response.errors?.[0]?.extensions?.code).toBe('NOT_FOUND');
});

test('subscriptions give nothing of another tenant', async () => {
  const queries = [
    'subscription S($id: ID!) { deviceState(deviceId: $id) { state { version metrics { value } } } }',
    'subscription S { deviceStates { device { id } state { version } } }',
    'subscription S($id: ID!) { telemetry(deviceId: $id) { readings { value } } }',
    'subscription S($command: ID!) { command(id: $command) { status } }',
    'subscription S { events { event { subject } } }',
  ];
  const subscribers = await Promise.all(
    queries.map((query) => platform.subscribe<unknown>(query, variablesOf(query), stranger)),
  );
  const own = await platform.subscribe<unknown>(
    'subscription S($id: ID!) { telemetry(deviceId: $id) { readings { value } } }',
    { id: device.id },
  );
  const client = await platform.connect(device, { clientId: device.credentials.clientId });
  // What the owner sees has passed every stage that the stranger's subscriptions listen to.
  await eventually(async () => {
    await client.publishAsync(topic(device, 'telemetry'), '{"n": 43}', { qos: 1 });
    expect(JSON.stringify(own.received)).toContain('43');
  });
  for (const subscriber of subscribers) {
    const text = JSON.stringify(subscriber.received);
    expect(text).not.toContain(device.id);
    expect(text).not.toMatch(/4[23]/);
  }
});

test('HTTP ingest for a device of another tenant is refused as an unknown device', async () => {
  const response = await fetch(`${platform.bridge}/ingest/v1/telemetry`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await platform.token('umbrella')}` },
    body: JSON.stringify([{ deviceId: device.id, n: 666 }]),
  });
  expect(await response.json()).toMatchObject({
    accepted: 0,
    results: [{ status: 'rejected', reason: 'unknown_device' }],
  });
});

test('a device reaches no topic but its own', async () => {
  const victim = await platform.registerDevice({ name: 'Victim' }, 'umbrella');
  const neighbour = await platform.registerDevice({ name: 'Neighbour' });
  const attacker = await platform.connect(device);
  for (const other of [victim, neighbour]) {
    for (const channel of ['command', 'telemetry', '#']) {
      const [grant] = await attacker.subscribeAsync(topic(other, channel), { qos: 1 }).catch(() => [{ qos: 128 }]);
      expect(grant?.qos).toBe(128);
    }
    await attacker.publishAsync(topic(other, 'telemetry'), '{"n": 666}', { qos: 1 });
  }
  // The flow behind the refused messages goes on, and shows when they would have arrived.
  await attacker.publishAsync(topic(device, 'telemetry'), '{"after": 1}', { qos: 1 });
  await eventually(async () => {
    const { device: own } = await platform.data<{ device: { state: { metrics: { name: string }[] } } }>(
      'query S($id: ID!) { device(id: $id) { state { metrics { name } } } }',
      { id: device.id },
    );
    expect(own.state.metrics.map(({ name }) => name)).toContain('after');
  });
  for (const other of [victim, neighbour]) {
    const { device: found } = await platform.data<{ device: { state: unknown } }>(
      'query S($id: ID!) { device(id: $id) { state { version } } }',
      { id: other.id },
      { tenant: other.tenant },
    );
    expect(found.state).toBeNull();
  }
});

test('without a token, or with a token that lacks the scope, nothing is answered', async () => {
  const anonymous = await fetch(`${platform.gateway}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ devices(first: 1) { totalCount } }' }),
  });
  expect(JSON.stringify(await anonymous.json())).toContain('UNAUTHENTICATED');
  const response = await platform.graphql(
    '{ devices(first: 1) { totalCount } }',
    {},
    { token: await platform.token('acme', ['telemetry:read']) },
  );
  expect(response.errors?.[0]?.extensions?.code).toBe('FORBIDDEN');
});

function variablesOf(query: string): Record<string, string> {
  return {
    ...(query.includes('$id') ? { id: device.id } : {}),
    ...(query.includes('$command') ? { command: commandId } : {}),
  };
}
