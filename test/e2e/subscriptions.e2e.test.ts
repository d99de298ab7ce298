/** Subscriptions through the gateway: snapshot, live, resume, joined with other subgraphs. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { startPlatform, topic, type TestPlatform } from '../world/platform.js';

let platform: TestPlatform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform[Symbol.asyncDispose]());

interface StateUpdate {
  readonly deviceState: {
    readonly cursor: string;
    readonly state: {
      readonly version: number | string;
      readonly metrics: readonly { readonly name: string; readonly value: number }[];
    } | null;
    readonly device: {
      readonly name: string;
      readonly labels: readonly { readonly key: string; readonly value: string }[];
      readonly type: { readonly name: string };
    };
  };
}

const deviceState = `subscription S($id: ID!, $since: String) {
  deviceState(deviceId: $id, since: $since) {
    cursor state { version metrics { name value } } device { name labels { key value } type { name } }
  }
}`;

/** Metric `n` of each update that has it. */
function values(updates: readonly StateUpdate[]): number[] {
  return updates.flatMap(
    ({ deviceState: { state } }) => state?.metrics.filter(({ name }) => name === 'n').map(({ value }) => value) ?? [],
  );
}

test('deviceState begins with the present state and then gives each change, joined with the registry', async () => {
  const device = await platform.registerDevice({ name: 'Watched', labels: [{ key: 'site', value: 'north' }] });
  const client = await platform.connect(device);
  await client.publishAsync(topic(device, 'telemetry'), '{"n": 0}', { qos: 1 });
  await eventually(async () => {
    const { device: found } = await platform.data<{ device: { state: unknown } }>(
      'query S($id: ID!) { device(id: $id) { state { version } } }',
      { id: device.id },
    );
    expect(found.state).not.toBeNull();
  });
  const subscriber = await platform.subscribe<StateUpdate>(deviceState, { id: device.id });
  await eventually(() => expect(values(subscriber.received)).toEqual([0]));
  for (let n = 1; n <= 5; n += 1) {
    await client.publishAsync(topic(device, 'telemetry'), JSON.stringify({ n }), { qos: 1 });
    await eventually(() => expect(values(subscriber.received).at(-1)).toBe(n));
  }
  expect(subscriber.received[0]?.deviceState.device).toEqual({
    name: 'Watched',
    labels: [{ key: 'site', value: 'north' }],
    type: { name: expect.any(String) as string },
  });
  const versions = subscriber.received.map((update) => BigInt(update.deviceState.state?.version ?? 0));
  expect(versions).toEqual([...new Set(versions)].sort((a, b) => (a < b ? -1 : 1)));
  expect(subscriber.failure()).toBeUndefined();
});

interface TelemetryUpdate {
  readonly telemetry: {
    readonly cursor: string;
    readonly readings: readonly { readonly metric: string; readonly at: string; readonly value: number }[];
  };
}

test('telemetry that is cut at random and resumed by its cursor gives each reading once and in order', async () => {
  const device = await platform.registerDevice();
  const client = await platform.connect(device);
  const telemetry = `subscription T($id: ID!, $since: String) { telemetry(deviceId: $id, metrics: ["n"], since: $since) { cursor readings { metric at value } } }`;
  const total = 400;
  const seen: number[] = [];
  let cursor: string | undefined;
  let subscriber = await platform.subscribe<TelemetryUpdate>(telemetry, { id: device.id });
  // The first payload tells where the stream begins; what is published after it must all arrive.
  await eventually(() => expect(subscriber.received.length).toBeGreaterThan(0));

  const publishing = (async () => {
    for (let n = 1; n <= total; n += 1)
      await client.publishAsync(topic(device, 'telemetry'), JSON.stringify({ n }), { qos: 1 });
  })();
  const take = () => {
    for (const { telemetry: update } of subscriber.received) {
      seen.push(...update.readings.map(({ value }) => value));
      cursor = update.cursor;
    }
  };
  for (let cut = 0; cut < 6; cut += 1) {
    const before = subscriber.received.length;
    await eventually(() => {
      if (seen.at(-1) !== total) expect(subscriber.received.length).toBeGreaterThan(before);
    });
    subscriber.stop();
    take();
    subscriber = await platform.subscribe<TelemetryUpdate>(telemetry, { id: device.id, since: cursor });
  }
  await publishing;
  await eventually(() =>
    expect(subscriber.received.at(-1)?.telemetry.readings.at(-1)?.value ?? seen.at(-1)).toBe(total),
  );
  take();
  expect(seen).toEqual(Array.from({ length: total }, (_unused, index) => index + 1));
});

test('deviceStates gives each matching device, then the changes of matching devices only', async () => {
  const site = `site-${Date.now().toString(36)}`;
  const inside = await platform.registerDevice({ name: 'Inside', labels: [{ key: 'site', value: site }] });
  const outside = await platform.registerDevice({ name: 'Outside' });
  const [insideClient, outsideClient] = [await platform.connect(inside), await platform.connect(outside)];
  await insideClient.publishAsync(topic(inside, 'telemetry'), '{"n": 1}', { qos: 1 });
  await eventually(async () => {
    const { device } = await platform.data<{ device: { state: unknown } }>(
      'query S($id: ID!) { device(id: $id) { state { version } } }',
      { id: inside.id },
    );
    expect(device.state).not.toBeNull();
  });
  const subscriber = await platform.subscribe<{
    deviceStates: { device: { name: string }; state: { metrics: { value: number }[] } | null };
  }>(
    `subscription D($site: String!) { deviceStates(filter: { labels: [{ key: "site", value: $site }] }) { cursor device { name } state { metrics { value } } } }`,
    { site },
  );
  await eventually(() =>
    expect(subscriber.received.map((update) => update.deviceStates.device.name)).toContain('Inside'),
  );
  await outsideClient.publishAsync(topic(outside, 'telemetry'), '{"n": 5}', { qos: 1 });
  await insideClient.publishAsync(topic(inside, 'telemetry'), '{"n": 2}', { qos: 1 });
  await eventually(() => expect(subscriber.received.at(-1)?.deviceStates.state?.metrics[0]?.value).toBe(2));
  expect(new Set(subscriber.received.map((update) => update.deviceStates.device.name))).toEqual(new Set(['Inside']));
});

test('events gives what the mutations of the tenant did, as they happen', async () => {
  const subscriber = await platform.subscribe<{ events: { cursor: string; event: { type: string; subject: string } } }>(
    `subscription { events(types: ["io.fleetgraph.device.registered.v1"]) { cursor event { type subject } } }`,
  );
  const ids: string[] = [];
  await eventually(async () => {
    // Live only: the first registrations may come before the subscription stands.
    ids.push((await platform.registerDevice()).id);
    expect(subscriber.received.length).toBeGreaterThan(0);
  });
  const from = ids.length;
  for (let n = 0; n < 5; n += 1) ids.push((await platform.registerDevice()).id);
  // Each once. Devices are not ordered among each other: they are projected side by side.
  const subjects = () => subscriber.received.map((update) => update.events.event.subject);
  await eventually(() => expect(subjects()).toEqual(expect.arrayContaining(ids.slice(from))));
  expect(new Set(subjects()).size).toBe(subjects().length);
  expect(ids).toEqual(expect.arrayContaining(subjects()));
});
