/** Commands on their way down: sent when the device listens, sent again until it has confirmed them, never after their time. */
import type { MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeEvent } from '../../../backbone/events/envelope.js';
import { eventually } from '../../world/eventually.js';
import {
  createBridgeWorld,
  requested,
  storeTwin,
  topicOf,
  twinChanged,
  type BridgeWorld,
  type TestDevice,
} from '../bridge-world.js';

let world: BridgeWorld;
beforeAll(async () => {
  world = await createBridgeWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** Ids of the commands that a client gets, in order. */
function listen(client: MqttClient): string[] {
  const ids: string[] = [];
  client.on('message', (_topic, payload) => ids.push((JSON.parse(payload.toString()) as { id: string }).id));
  return ids;
}

async function listening(device: TestDevice, options: Parameters<BridgeWorld['connect']>[1] = {}) {
  const client = await world.connect(device, options);
  const ids = listen(client);
  await client.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
  return { client, ids };
}

const signalsOf = async (commandId: string) =>
  (await world.events()).flatMap(({ type, data }) =>
    'commandId' in data && data.commandId === commandId ? [type.split('.').at(-2)] : [],
  );
const undelivered = async () => {
  const { rows } = await world.database.pool.query<{ id: string }>(
    'SELECT command_id AS id FROM bridge.undelivered_commands ORDER BY position',
  );
  return rows.map(({ id }) => id);
};

test('a device that listens gets its command at once; that it was sent and confirmed is on the bus', async () => {
  const device = world.device('listens');
  const client = await world.connect(device);
  const messages: { topic: string; payload: unknown; qos: number }[] = [];
  client.on('message', (topic, payload, { qos }) =>
    messages.push({ topic, payload: JSON.parse(payload.toString()), qos }),
  );
  await client.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
  const command = requested(device, 'c-1');
  await world.relay(command);
  await eventually(() =>
    expect(messages).toEqual([
      {
        topic: 'fleet/acme/listens/command',
        qos: 1,
        payload: {
          id: 'c-1',
          name: 'setpoint',
          parameters: { celsius: 21 },
          expiresAt: (command.data as { expiresAt: string }).expiresAt,
          attempt: 1,
        },
      },
    ]),
  );
  await eventually(async () => expect(await signalsOf('c-1')).toEqual(['dispatched', 'received']));
  await eventually(async () => expect(await undelivered()).not.toContain('c-1'));
  await client.endAsync();
});

test('commands wait for their device, in order, until it listens', async () => {
  const device = world.device('late');
  await world.relay(...['l-1', 'l-2', 'l-3'].map((id) => requested(device, id)));
  await eventually(async () => expect(await undelivered()).toEqual(['l-1', 'l-2', 'l-3']));
  const client = await world.connect(device);
  const ids = listen(client);
  expect(await signalsOf('l-1')).toEqual([]);
  await client.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
  await eventually(() => expect(ids).toEqual(['l-1', 'l-2', 'l-3']));
  await eventually(async () => expect(await undelivered()).toEqual([]));
  // Listening again in the same session brings nothing again.
  await client.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
  await world.relay(requested(device, 'l-4'));
  await eventually(() => expect(ids).toEqual(['l-1', 'l-2', 'l-3', 'l-4']));
  await client.endAsync();
});

test('a bridge that starts again sends what the one before it could not', async () => {
  const device = world.device('after-restart');
  await world.relay(requested(device, 'r-1'), requested(device, 'r-2'));
  await eventually(async () => expect(await undelivered()).toEqual(['r-1', 'r-2']));
  await world.restart();
  const { client, ids } = await listening(device);
  await eventually(() => expect(ids).toEqual(['r-1', 'r-2']));
  await eventually(async () => expect(await signalsOf('r-2')).toEqual(['dispatched', 'received']));
  await client.endAsync();
});

test('what a device got but did not confirm is sent again when it is back', async () => {
  const device = world.device('forgetful');
  const first = await world.connect(device);
  // MQTT.js confirms after this callback; this one never calls back.
  first.handleMessage = () => undefined;
  await first.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
  await world.relay(requested(device, 'f-1'));
  await eventually(async () => expect(await signalsOf('f-1')).toEqual(['dispatched']));
  first.end(true);
  const { client, ids } = await listening(device);
  await eventually(() => expect(ids).toEqual(['f-1']));
  await eventually(async () => expect(await signalsOf('f-1')).toEqual(['dispatched', 'dispatched', 'received']));
  await client.endAsync();
});

test('a device that comes back to a session it kept gets its commands without subscribing again', async () => {
  const device = world.device('persistent');
  const { client } = await listening(device, { clean: false });
  await client.endAsync();
  await world.relay(requested(device, 'p-1'));
  await eventually(async () => expect(await undelivered()).toContain('p-1'));
  const again = await world.connect(device, { clean: false });
  const ids = listen(again);
  await eventually(() => expect(ids).toContain('p-1'));
  await eventually(async () => expect(await signalsOf('p-1')).toEqual(['dispatched', 'received']));
  await again.endAsync();
});

test('a command whose time has passed, that was canceled, or whose device is gone is not sent', async () => {
  const [device, gone] = [world.device('too-late'), world.device('gone')];
  const about = (type: 'io.fleetgraph.command.canceled.v1' | 'io.fleetgraph.command.expired.v1', commandId: string) =>
    makeEvent({
      type,
      source: '/actions',
      subject: 'too-late',
      tenant: 'acme',
      data: { commandId, deviceId: 'too-late' },
    });
  await world.relay(
    ...[
      requested(device, 't-past', -1),
      requested(device, 't-canceled'),
      requested(device, 't-expired'),
      requested(gone, 't-gone'),
    ],
    about('io.fleetgraph.command.canceled.v1', 't-canceled'),
    about('io.fleetgraph.command.expired.v1', 't-expired'),
    makeEvent({
      type: 'io.fleetgraph.device.decommissioned.v1',
      source: '/device',
      subject: 'gone',
      tenant: 'acme',
      data: { deviceId: 'gone' },
    }),
    requested(device, 't-good'),
  );
  await eventually(async () => expect(await undelivered()).toEqual(['t-good']));
  const { client, ids } = await listening(device);
  await eventually(() => expect(ids).toEqual(['t-good']));
  await client.endAsync();
});

test('a command that is asked for again is sent again with its number, and only its own confirmation ends it', async () => {
  const device = world.device('tries');
  const { client, ids } = await listening(device);
  const attempts: number[] = [];
  client.on('message', (_topic, payload) =>
    attempts.push((JSON.parse(payload.toString()) as { attempt: number }).attempt),
  );
  const first = requested(device, 't-1');
  const { name, parameters, expiresAt } = first.data as unknown as {
    name: string;
    parameters: never;
    expiresAt: string;
  };
  const again = (attempt: number) =>
    makeEvent({
      source: '/actions',
      type: 'io.fleetgraph.command.retried.v1' as const,
      subject: device.deviceId,
      tenant: 'acme',
      data: { commandId: 't-1', deviceId: device.deviceId, name, parameters, expiresAt, attempt },
    });
  await world.relay(first);
  await eventually(async () => expect(await undelivered()).not.toContain('t-1'));
  await world.relay(again(2));
  await eventually(() => expect(attempts).toEqual([1, 2]));
  await eventually(async () => expect(await undelivered()).not.toContain('t-1'));
  await client.endAsync();
  // While nobody listens, a later attempt takes the place of the one before.
  await world.relay(requested(device, 't-2'), again(3), again(4));
  await eventually(async () => {
    const { rows } = await world.database.pool.query<{ attempt: number }>(
      "SELECT attempt FROM bridge.undelivered_commands WHERE command_id = 't-1'",
    );
    expect(rows).toEqual([{ attempt: 4 }]);
  });
  const back = await world.connect(device);
  const got: unknown[] = [];
  back.on('message', (_topic, payload) => {
    const { id, attempt } = JSON.parse(payload.toString()) as { id: string; attempt: number };
    got.push([id, attempt]);
  });
  await back.subscribeAsync(topicOf(device, 'command'), { qos: 1 });
  await eventually(() =>
    expect(got).toEqual([
      ['t-2', 1],
      ['t-1', 4],
    ]),
  );
  expect(ids).toEqual(['t-1', 't-1']);
  await eventually(async () => expect(await undelivered()).toEqual([]));
  await back.endAsync();
});

test('at most 100 commands wait for a device', async () => {
  const device = world.device('crowded');
  await world.relay(...Array.from({ length: 105 }, (_unused, index) => requested(device, `x-${index}`)));
  await eventually(async () =>
    expect(await world.metric('fleetgraph_bridge_commands_total', { result: 'overflowed' })).toBe(5),
  );
  const { client, ids } = await listening(device);
  await eventually(() => expect(ids).toEqual(Array.from({ length: 100 }, (_unused, index) => `x-${index}`)));
  await client.endAsync();
});

test('another tenant’s device of the same id gets nothing', async () => {
  const device = world.device('namesake', { tenant: 'rival' });
  const { client, ids } = await listening(device);
  await world.relay(requested({ ...device, tenant: 'acme' }, 'n-foreign'), requested(device, 'n-own'));
  await eventually(async () => expect(await undelivered()).toEqual(expect.arrayContaining(['n-foreign'])));
  expect(ids).not.toContain('n-foreign');
  await client.endAsync();
});

test('a desired state goes to a device that listens', async () => {
  const device = world.device('desires');
  const client = await world.connect(device);
  const got: unknown[] = [];
  client.on('message', (topic, payload) => got.push([topic, JSON.parse(payload.toString())]));
  await client.subscribeAsync(topicOf(device, 'desired'), { qos: 1 });
  await world.relay(
    makeEvent({
      type: 'io.fleetgraph.device.desired-state-set.v1',
      source: '/device',
      subject: 'desires',
      tenant: 'acme',
      data: { deviceId: 'desires', desired: { interval: 60 }, version: 3 },
    }),
  );
  await eventually(() =>
    expect(got).toEqual([['fleet/acme/desires/desired', { version: 3, desired: { interval: 60 } }]]),
  );
  await client.endAsync();
});

test('what is left of the twin comes when a device listens and when a half changes, with a revision that grows', async () => {
  const device = world.device('twin');
  await storeTwin(world.database, device, {
    revision: 4,
    desired: { interval: 60, mode: 'eco' },
    reported: { interval: 60 },
  });
  const client = await world.connect(device);
  const got: unknown[] = [];
  client.on('message', (_topic, payload) => got.push(JSON.parse(payload.toString())));
  // What it asks for while the database is away comes when it is back.
  world.directoryFailure = new Error('away');
  await client.subscribeAsync(topicOf(device, 'delta'), { qos: 1 });
  world.directoryFailure = undefined;
  const first = { revision: 4, version: 1, delta: { mode: 'eco' } };
  await eventually(() => expect(got).toEqual([first]));
  await storeTwin(world.database, device, { revision: 5, desired: { mode: 'eco' }, reported: { mode: 'off' } });
  await world.relay(twinChanged(device, 'reported'));
  const second = { revision: 5, version: 1, delta: { mode: 'eco' } };
  await eventually(() => expect(got).toEqual([first, second]));
  // It says itself that it is in sync: nobody tells it. That nothing is desired any more, it must hear.
  await storeTwin(world.database, device, { revision: 6, desired: { mode: 'eco' }, reported: { mode: 'eco' } });
  await world.relay(twinChanged(device, 'reported'));
  await storeTwin(world.database, device, { revision: 7, desired: {}, reported: { mode: 'eco' } });
  await world.relay(twinChanged(device, 'desired'));
  const third = { revision: 7, version: 1, delta: {} };
  await eventually(() => expect(got).toEqual([first, second, third]));
  // Connected again, with nothing left to do.
  await client.endAsync();
  const again = await world.connect(device);
  again.on('message', (topic) => got.push(topic));
  await again.subscribeAsync([topicOf(device, 'delta'), topicOf(device, 'command')], { qos: 1 });
  await world.relay(requested(device, 'behind'));
  await eventually(() => expect(got.slice(3)).toEqual(['fleet/acme/twin/command']));
  await again.endAsync();
});

test('what a rule tells a device goes to one that listens, with an id that tells a repetition', async () => {
  const device = world.device('told');
  const client = await world.connect(device);
  const got: unknown[] = [];
  client.on('message', (topic, payload) => got.push([topic, JSON.parse(payload.toString())]));
  await client.subscribeAsync(topicOf(device, 'message'), { qos: 1 });
  await world.relay(
    makeEvent({
      type: 'io.fleetgraph.message.requested.v1',
      source: '/actions',
      subject: 'told',
      tenant: 'acme',
      data: { messageId: 'm-1', deviceId: 'told', topic: 'display', payload: { text: 'hot' } },
    }),
  );
  await eventually(() =>
    expect(got).toEqual([['fleet/acme/told/message', { id: 'm-1', topic: 'display', payload: { text: 'hot' } }]]),
  );
  await client.endAsync();
});

test.each([
  ['decommissioned', 'io.fleetgraph.device.decommissioned.v1', { deviceId: 'kicked' }],
  ['given new credentials', 'io.fleetgraph.device.credentials-rotated.v1', { deviceId: 'kicked', clientId: 'kicked' }],
] as const)('a device that is %s is disconnected', async (_what, type, data) => {
  const client = await world.connect(world.device('kicked'));
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  await world.relay(makeEvent({ type, source: '/device', subject: 'kicked', tenant: 'acme', data }));
  await closed;
});

test('an answer of a device is on the bus, with what it says', async () => {
  const device = world.device('answers');
  const client = await world.connect(device);
  const answer = async (body: object) =>
    client.publishAsync(topicOf(device, 'command/ack'), JSON.stringify(body), { qos: 1 });
  await answer({ id: 'a-1' });
  await answer({ id: 'a-2', status: 'FAILED', error: 'no water' });
  await answer({ id: 'a-3', status: 'SUCCEEDED', result: { celsius: 21 } });
  await answer({ id: 'a-4', status: 'PERHAPS' });
  await answer({ status: 'SUCCEEDED' });
  const answers = (await world.eventsOf('io.fleetgraph.command.acknowledged.v1')).map(({ data }) => data);
  expect(answers).toMatchObject([
    { commandId: 'a-1', deviceId: 'answers', status: 'SUCCEEDED' },
    { commandId: 'a-2', deviceId: 'answers', status: 'FAILED', error: 'no water' },
    { commandId: 'a-3', deviceId: 'answers', status: 'SUCCEEDED', result: { celsius: 21 } },
  ]);
  expect(await world.metric('fleetgraph_bridge_rejected_messages_total', { reason: 'wrong_shape' })).toBe(2);
  await client.endAsync();
});
