/** Two processes of every role: together they are one system, and each of them may be stopped or killed at any moment. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClusterClient, type ClusterClient } from '../world/cluster/cluster-client.js';
import { startLoad, type ClusterLoad, type LoadDevice } from '../world/cluster/cluster-load.js';
import { allReady, createCluster, type Cluster } from '../world/cluster/cluster.js';
import { eventually, within } from '../world/eventually.js';
import { hasMosquitto } from '../world/mosquitto/mosquitto-binary.js';
import { startMosquitto, type Mosquitto } from '../world/mosquitto/mosquitto.js';
import { roleNames } from '../../platform/config/config.js';

describe.skipIf(!hasMosquitto())('two processes of every role', () => {
  let broker: Mosquitto;
  let cluster: Cluster;
  let client: ClusterClient;
  let load: ClusterLoad;
  beforeAll(async () => {
    // The broker in a bridge is for one bridge; two of them share one of their own.
    broker = await startMosquitto();
    cluster = await createCluster({
      counts: Object.fromEntries(roleNames.map((role) => [role, 2])),
      env: {
        MQTT_URL: broker.url,
        MQTT_USERNAME: broker.bridge.username,
        MQTT_PASSWORD: broker.bridge.password,
        MQTT_CONNECTIONS: '1',
      },
    });
    await cluster.startAll();
    client = await createClusterClient(cluster);
  }, 180_000);
  afterAll(async () => {
    await load?.close();
    await cluster?.[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
  });

  /** The numbers of a device that the API has, in order of time. */
  async function numbersOf(device: LoadDevice): Promise<readonly number[]> {
    const numbers: number[] = [];
    // In slices that stay raw: 5,000 points at most a query.
    for (let from = load.baseMs; ; from += 4_000) {
      const answer = await client.data<{
        device: { telemetry: { resolution: string; points: readonly { readonly last: number }[] } };
      }>(
        'query N($id: ID!, $from: DateTime!, $to: DateTime!) { device(id: $id) { telemetry(metric: "number", from: $from, to: $to, maxPoints: 5000) { resolution points { last } } } }',
        { id: device.id, from: new Date(from).toISOString(), to: new Date(from + 4_000).toISOString() },
      );
      const { resolution, points } = answer.device.telemetry;
      if (points.length === 0) return numbers;
      expect(resolution).toBe('RAW');
      numbers.push(...points.map(({ last }) => last));
    }
  }

  const register = `mutation R($input: RegisterDeviceInput!) { registerDevice(input: $input) { device { id } } }`;

  test('one idempotency key at two device processes at the same time registers one device', async () => {
    for (let round = 0; round < 10; round += 1) {
      const input = { name: `Twin ${round}`, typeId: 'generic', idempotencyKey: `twin-${round}` };
      const ask = (gateway: number) =>
        client.ask<{ registerDevice: { device: { id: string } } }>(register, { input }, { gateway });
      const answers = await Promise.all([ask(0), ask(1), ask(0), ask(1)]);
      const ids = answers.map(({ data, errors }) => data?.registerDevice.device.id ?? JSON.stringify(errors));
      expect(new Set(ids).size, ids.join()).toBe(1);
    }
    const { rows } = await cluster.pool.query(
      `SELECT count(*)::int AS events FROM events.events WHERE data->>'name' LIKE 'Twin %'`,
    );
    expect(rows).toEqual([{ events: 10 }]);
  });

  test('what one gateway has acknowledged, the other reads with the consistency token', async () => {
    for (let round = 0; round < 10; round += 1) {
      const answer = await client.ask<{ registerDevice: { device: { id: string }; consistencyToken: string } }>(
        `mutation { registerDevice(input: { name: "Near and far", typeId: "generic" }) { device { id } consistencyToken } }`,
        {},
        { gateway: round % 2 },
      );
      const { device, consistencyToken } = answer.data?.registerDevice ?? expect.unreachable();
      const found = await client.ask<{ events: { edges: readonly unknown[] } }>(
        'query L($subject: ID!) { events(first: 5, filter: { subject: $subject }) { edges { cursor } } }',
        { subject: device.id },
        { gateway: (round + 1) % 2, consistencyToken },
      );
      expect(found.data?.events.edges, JSON.stringify(found.errors)).toHaveLength(1);
    }
  });

  test('one of two relays leads, and when it is killed the other does', async () => {
    const leaders = async (): Promise<readonly string[]> => {
      const found: string[] = [];
      for (const relay of cluster.all('relay').filter((process) => process.isRunning()))
        if (/^fleetgraph_relay_leader 1$/m.test(await relay.metrics())) found.push(relay.name);
      return found;
    };
    const [leader] = await eventually(async () => {
      const now = await leaders();
      expect(now).toHaveLength(1);
      return now;
    });
    const killed = cluster.all('relay').find(({ name }) => name === leader) ?? expect.unreachable();
    await killed.kill();
    await eventually(async () => expect(await leaders()).toEqual([leader === 'relay-0' ? 'relay-1' : 'relay-0']));
    killed.start();
    await killed.ready();
    expect(await leaders()).not.toContain(leader);
  });

  /** Resolves when the load has gone on for a while with what runs now. */
  const workGoesOn = async (): Promise<void> => {
    const before = load.progress();
    await eventually(() => expect(load.progress()).toBeGreaterThan(before + 40), 60_000);
  };

  // Two machines, one process of each role on each. All of a machine at once, since one by one takes minutes on two cores.
  test(
    'one machine is stopped and comes back, then the other loses power, under load, and the load goes on',
    {
      timeout: 480_000,
    },
    async () => {
      load = await startLoad(cluster, client, broker);
      try {
        await workGoesOn();
        const stopped = cluster.processes.filter((_process, n) => n % 2 === 0);
        const killed = cluster.processes.filter((_process, n) => n % 2 === 1);
        await Promise.all(
          stopped.map(async (process) => expect(await process.stop(), `${process.name}:\n${process.output()}`).toBe(0)),
        );
        await workGoesOn();
        for (const process of stopped) process.start();
        await allReady(stopped);
        await Promise.all(killed.map((process) => process.kill()));
        await workGoesOn();
        for (const process of killed) process.start();
        await allReady(killed);
        await workGoesOn();
      } finally {
        await within(load.stopSending(), 60_000, 'the last acknowledgements');
      }
    },
  );

  test('nothing that was acknowledged is missing from the API', async () => {
    for (const device of [...load.overHttp, ...load.overMqtt]) {
      expect(device.acknowledged.size).toBeGreaterThan(10);
      await eventually(async () => {
        const found = new Set(await numbersOf(device));
        expect([...device.acknowledged].filter((number) => !found.has(number))).toEqual([]);
      }, 60_000);
    }
  });

  test('every command has exactly one final status, whatever was stopped on its way', async () => {
    expect(load.commands.size).toBeGreaterThan(5);
    expect(new Set(load.commands.values()).size).toBe(load.commands.size);
    for (const id of load.commands.values())
      await eventually(async () => {
        const answer = await client.data<{ command: { status: string } }>(
          'query C($id: ID!) { command(id: $id) { status } }',
          { id },
        );
        expect(answer).toEqual({ command: { status: 'SUCCEEDED' } });
      }, 60_000);
    const { rows } = await cluster.pool.query(
      `SELECT stream, count(*)::int AS finals FROM events.events
     WHERE stream LIKE 'command-%' AND type = 'io.fleetgraph.command.succeeded.v1' GROUP BY stream HAVING count(*) <> 1`,
    );
    expect(rows).toEqual([]);
  });

  test('every event of the store is in the event log once', async () => {
    await eventually(async () => {
      const { rows } = await cluster.pool.query(
        `SELECT (SELECT count(*)::int FROM events.events) AS stored, (SELECT count(*)::int FROM projections.event_log) AS logged,
              (SELECT count(*)::int FROM events.events e JOIN projections.event_log l ON l.id = e.id) AS both`,
      );
      const [counts] = rows as { stored: number; logged: number; both: number }[];
      expect(counts).toEqual({ stored: counts?.stored, logged: counts?.stored, both: counts?.stored });
    });
  });

  test('subscriptions of both gateways were closed or cut so that they could resume, and saw neither gap nor repeat', async () => {
    const { rows } = await cluster.pool.query<{ id: string }>('SELECT id FROM projections.event_log ORDER BY seq');
    const log = rows.map(({ id }) => id);
    for (const { payloads, endings } of load.events) {
      const ids = payloads.map(({ event }) => event.id);
      await eventually(() => expect(payloads.at(-1)?.event.id).toBe(log.at(-1)));
      expect(payloads.map(({ event }) => event.id)).toEqual(log.slice(log.indexOf(ids[0] ?? '')));
      expect(endings.length).toBeGreaterThan(0);
      for (const ending of endings) expect(resumable).toContain(ending);
    }
    const [device] = load.overHttp;
    if (!device) expect.unreachable();
    const stored = await numbersOf(device);
    for (const { payloads, endings } of load.telemetry) {
      const seen = () => payloads.flatMap(({ readings }) => readings.map(({ value }) => value));
      await eventually(() => expect(seen().length).toBeGreaterThanOrEqual(stored.length));
      expect(seen()).toEqual(stored);
      for (const ending of endings) expect(resumable).toContain(ending);
    }
    for (const { payloads, endings } of load.states) {
      await eventually(() =>
        expect(payloads.at(-1)?.state?.metrics).toEqual([{ name: 'number', value: stored.at(-1) }]),
      );
      const versions = payloads.flatMap(({ state }) => state?.version ?? []);
      expect(versions).toEqual([...new Set(versions)].sort((one, other) => one - other));
      for (const ending of endings) expect(resumable).toContain(ending);
    }
  });
});

/** Endings on which docs/subscriptions.md tells a client to come back with its cursor; 1006 is a process that was killed, or a socket that was cut. */
const resumable: readonly (number | string)[] = [1001, 1006, 1013, 'UNAVAILABLE', 'no connection'];
