/** The main job over the wire: MQTT and HTTP in, the graph out, everything through the doors that users have. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { topic, type PlatformClients } from '../world/platform-clients.js';

interface State {
  readonly version: number | string;
  readonly metrics: readonly { readonly name: string; readonly value: unknown; readonly at: string }[];
}

/** The scenarios of the main job, on a platform however it runs. */
export function describeMainJob(name: string, start: () => Promise<PlatformClients & AsyncDisposable>): void {
  describe(`the main job, ${name}`, () => {
    let platform: PlatformClients & AsyncDisposable;
    beforeAll(async () => {
      platform = await start();
    }, 180_000);
    afterAll(() => platform[Symbol.asyncDispose]());

    test('a reading published over MQTT is in state and history through the gateway, joined with registry and commands', async () => {
      await platform.data(
        `mutation { defineDeviceType(input: { id: "boiler", name: "Boiler", metrics: [{ name: "temperature", kind: NUMBER, unit: "°C" }] }) { deviceType { id } } }`,
      );
      const device = await platform.registerDevice({
        name: 'Boiler 1',
        typeId: 'boiler',
        labels: [{ key: 'site', value: 'north' }],
      });
      const client = await platform.connect(device);
      const at = Date.now() - 1_000;
      await client.publishAsync(
        topic(device, 'telemetry'),
        JSON.stringify({ ts: at, values: { temperature: 21.5, running: true } }),
        { qos: 1 },
      );

      const query = `query Joined($id: ID!, $from: DateTime!, $to: DateTime!) {
    device(id: $id) {
      id name labels { key value } type { id metrics { name unit } }
      state { version updatedAt metrics { name value at } }
      presence { online lastSeen }
      telemetry(metric: "temperature", from: $from, to: $to, maxPoints: 200) { resolution points { at last min max mean count } }
      commands(first: 5) { edges { node { id name status } } }
    }
  }`;
      const variables = {
        id: device.id,
        from: new Date(at - 60_000).toISOString(),
        to: new Date(at + 60_000).toISOString(),
      };
      interface Joined {
        device: {
          name: string;
          labels: unknown;
          type: unknown;
          state: State | null;
          presence: { online: boolean };
          telemetry: { resolution: string; points: unknown[] };
          commands: { edges: unknown[] };
        };
      }
      const joined = await eventually(async () => {
        const { device: found } = await platform.data<Joined>(query, variables);
        expect(found.state?.metrics).toHaveLength(2);
        expect(found.presence.online).toBe(true);
        return found;
      });
      expect(joined.name).toBe('Boiler 1');
      expect(joined.labels).toEqual([{ key: 'site', value: 'north' }]);
      expect(joined.type).toEqual({ id: 'boiler', metrics: [{ name: 'temperature', unit: '°C' }] });
      expect(joined.state?.metrics).toEqual(
        expect.arrayContaining([
          { name: 'temperature', value: 21.5, at: new Date(at).toISOString() },
          { name: 'running', value: true, at: new Date(at).toISOString() },
        ]),
      );
      expect(joined.telemetry).toEqual({
        resolution: 'RAW',
        points: [{ at: new Date(at).toISOString(), last: 21.5, min: 21.5, max: 21.5, mean: 21.5, count: 1 }],
      });
      expect(joined.commands.edges).toEqual([]);
    });

    test('a batch over HTTP is answered line by line, and what was accepted is in the graph', async () => {
      const device = await platform.registerDevice();
      const lines = [
        JSON.stringify({ deviceId: device.id, ts: Date.now(), values: { temperature: 20 } }),
        '{"deviceId": "dev_unknown", "temperature": 1}',
        '{"deviceId": ',
        JSON.stringify({ deviceId: device.id, temperature: { nested: true } }),
        JSON.stringify({ deviceId: device.id, ts: Date.now() + 86_400_000, values: { temperature: 20 } }),
      ];
      const response = await fetch(`${platform.bridge}/ingest/v1/telemetry`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson', authorization: `Bearer ${await platform.token('acme')}` },
        body: lines.join('\n'),
      });
      const body = (await response.json()) as {
        accepted: number;
        rejected: number;
        results: { status: string; reason?: string }[];
      };
      expect(body).toMatchObject({ accepted: 1, rejected: 4 });
      expect(body.results.map((result) => result.reason ?? result.status)).toEqual([
        'accepted',
        'unknown_device',
        'malformed_json',
        expect.any(String),
        'timestamp_in_future',
      ]);
      await eventually(async () => {
        const { device: found } = await platform.data<{ device: { state: State | null } }>(
          'query S($id: ID!) { device(id: $id) { state { version metrics { name value at } } } }',
          { id: device.id },
        );
        expect(found.state?.metrics).toMatchObject([{ name: 'temperature', value: 20 }]);
      });
    });

    test('a query that sends the consistency token back reads its own write', async () => {
      for (let round = 0; round < 10; round += 1) {
        const device = await platform.registerDevice({ name: `Own write ${round}` });
        const { events } = await platform.data<{ events: { edges: { node: { type: string; subject: string } }[] } }>(
          'query Log($subject: ID!) { events(first: 5, filter: { subject: $subject }) { edges { node { type subject } } } }',
          { subject: device.id },
          { consistencyToken: device.consistencyToken },
        );
        expect(events.edges.map(({ node }) => node)).toEqual([
          { type: 'io.fleetgraph.device.registered.v1', subject: device.id },
        ]);
      }
    });

    test('a command reaches the device and its ack brings it to SUCCEEDED, which a subscription shows', async () => {
      const device = await platform.registerDevice();
      const client = await platform.connect(device);
      client.on('message', (_topic, payload) => {
        const command = JSON.parse(payload.toString()) as { id: string; name: string; parameters: { celsius: number } };
        client.publish(
          topic(device, 'command/ack'),
          JSON.stringify({ id: command.id, status: 'SUCCEEDED', result: { celsius: command.parameters.celsius } }),
          { qos: 1 },
        );
      });
      await client.subscribeAsync(topic(device, 'command'), { qos: 1 });
      const { sendCommand } = await platform.data<{ sendCommand: { command: { id: string; status: string } } }>(
        `mutation Send($id: ID!) { sendCommand(input: { deviceId: $id, name: "setpoint", parameters: { celsius: 21 }, timeToLive: "PT1M" }) { command { id status } consistencyToken } }`,
        { id: device.id },
      );
      expect(sendCommand.command.status).toBe('QUEUED');
      const subscriber = await platform.subscribe<{
        command: { status: string; command: { name: string; device: { name: string } } };
      }>('subscription C($id: ID!) { command(id: $id) { cursor status command { name device { name } } } }', {
        id: sendCommand.command.id,
      });
      await eventually(async () => {
        const { device: found } = await platform.data<{ device: { commands: { edges: { node: unknown }[] } } }>(
          'query C($id: ID!) { device(id: $id) { commands(first: 1) { edges { node { id name status result } } } } }',
          { id: device.id },
        );
        expect(found.commands.edges[0]?.node).toEqual({
          id: sendCommand.command.id,
          name: 'setpoint',
          status: 'SUCCEEDED',
          result: { celsius: 21 },
        });
      });
      await eventually(() => {
        expect(subscriber.received.at(-1)?.command).toMatchObject({
          status: 'SUCCEEDED',
          command: { name: 'setpoint', device: { name: 'Boiler' } },
        });
      });
      expect(subscriber.failure()).toBeUndefined();
    });

    test('a command that the device never answers expires', async () => {
      const device = await platform.registerDevice();
      const client = await platform.connect(device);
      await client.subscribeAsync(topic(device, 'command'), { qos: 1 });
      const { sendCommand } = await platform.data<{ sendCommand: { command: { id: string } } }>(
        `mutation Send($id: ID!) { sendCommand(input: { deviceId: $id, name: "noop", timeToLive: "PT1S" }) { command { id } } }`,
        { id: device.id },
      );
      await eventually(async () => {
        const { command } = await platform.data<{ command: { status: string } }>(
          'query C($id: ID!) { command(id: $id) { status } }',
          { id: sendCommand.command.id },
        );
        expect(command.status).toBe('EXPIRED');
      });
    });

    test('presence follows connection, clean disconnect and a connection that breaks', async () => {
      const device = await platform.registerDevice();
      const presence = async () =>
        (
          await platform.data<{ device: { presence: { online: boolean; lastSeen: string | null } } }>(
            'query P($id: ID!) { device(id: $id) { presence { online lastSeen } } }',
            { id: device.id },
          )
        ).device.presence;
      expect(await presence()).toEqual({ online: false, lastSeen: null });
      const first = await platform.connect(device);
      await eventually(async () => expect((await presence()).online).toBe(true));
      await first.endAsync();
      await eventually(async () => expect((await presence()).online).toBe(false));
      const second = await platform.connect(device, {
        will: { topic: topic(device, 'presence'), payload: Buffer.from('{"online":false}'), qos: 1, retain: false },
      });
      await eventually(async () => expect((await presence()).online).toBe(true));
      second.stream.destroy();
      await eventually(async () => expect((await presence()).online).toBe(false));
      expect((await presence()).lastSeen).not.toBeNull();
    });

    test('devices filtered by label and presence are one page of the registry', async () => {
      const site = `site-${Date.now().toString(36)}`;
      const labels = [{ key: 'site', value: site }];
      const online = await platform.registerDevice({ name: 'Online', labels });
      await platform.registerDevice({ name: 'Offline', labels });
      await platform.connect(online);
      await eventually(async () => {
        const { devices } = await platform.data<{
          devices: { edges: { node: { name: string } }[]; totalCount: number };
        }>(
          'query L($labels: [LabelInput!]!) { devices(first: 20, filter: { labels: $labels, online: true }, orderBy: NAME) { edges { cursor node { id name } } pageInfo { hasNextPage endCursor } totalCount } }',
          { labels },
        );
        expect(devices.edges.map(({ node }) => node.name)).toEqual(['Online']);
        expect(devices.totalCount).toBe(1);
      });
    });
  });
}
