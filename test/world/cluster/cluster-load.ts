/** What a fleet and its people do all day, at once, until told to stop; with a record of everything that was acknowledged. */
import { connectAsync, type MqttClient } from 'mqtt';
import { pause } from '../../../platform/lifecycle/wait.js';
import { eventually } from '../eventually.js';
import { topic, type RegisteredDevice } from '../platform.js';
import { clusterTenant, type ClusterClient } from './cluster-client.js';
import type { Mosquitto } from '../mosquitto/mosquitto.js';
import type { Cluster } from './cluster.js';
import { startTcpGate } from './tcp-gate.js';
import { subscribeResuming, type ResumingSubscription } from './resuming-subscription.js';

export interface TelemetryPayload {
  readonly cursor: string;
  readonly readings: readonly { readonly metric: string; readonly value: number }[];
}

export interface StatePayload {
  readonly cursor: string;
  /** Null before the first reading. */
  readonly state: {
    readonly version: number;
    readonly metrics: readonly { readonly name: string; readonly value: number }[];
  } | null;
}

export interface EventPayload {
  readonly cursor: string;
  readonly event: { readonly id: string; readonly type: string };
}

export interface LoadDevice extends RegisteredDevice {
  /** Numbers whose readings were acknowledged. The reading of a number is at `baseMs` and that many milliseconds. */
  readonly acknowledged: Set<number>;
}

export interface ClusterLoad {
  readonly baseMs: number;
  /** Over HTTP, one device a bridge. */
  readonly overHttp: readonly LoadDevice[];
  /** By the broker, as many; these answer commands with SUCCEEDED. */
  readonly overMqtt: readonly LoadDevice[];
  /** Ids of acknowledged commands, by idempotency key. */
  readonly commands: ReadonlyMap<string, string>;
  /** Readings of the first device over HTTP, some subscribers a gateway. Their sockets are cut at random while all is sent. */
  readonly telemetry: readonly ResumingSubscription<TelemetryPayload>[];
  /** The latest state of the same device, in the same way. */
  readonly states: readonly ResumingSubscription<StatePayload>[];
  /** The event log, in the same way. */
  readonly events: readonly ResumingSubscription<EventPayload>[];
  /** How many acknowledgements there were of everything. */
  progress(): number;
  /** Stops to send, and resolves when what is under way has been answered. Subscriptions and devices stay. */
  stopSending(): Promise<void>;
  close(): Promise<void>;
}

const sendCommand = `mutation C($input: SendCommandInput!) { sendCommand(input: $input) { command { id } } }`;

async function connectDevice(url: string, device: RegisteredDevice): Promise<MqttClient> {
  // Mosquitto reads its list of devices a moment after it was told to.
  const client = await eventually(() =>
    connectAsync(url, { ...device.credentials, clean: false, reconnectPeriod: 100, connectTimeout: 5_000 }, false),
  );
  client.on('error', () => undefined);
  client.on('message', (_topic, payload) => {
    const { id } = JSON.parse(payload.toString()) as { id: string };
    client.publish(topic(device, 'command/ack'), JSON.stringify({ id, status: 'SUCCEEDED' }), { qos: 1 });
  });
  await client.subscribeAsync(topic(device, 'command'), { qos: 1 });
  return client;
}

/** Registers the devices, subscribes, and starts to send. The cluster must be ready, and use `broker`. */
export async function startLoad(cluster: Cluster, client: ClusterClient, broker: Mosquitto): Promise<ClusterLoad> {
  const baseMs = Date.now() - 3_600_000;
  const register = async (name: string): Promise<LoadDevice> => ({
    ...(await client.registerDevice(name)),
    acknowledged: new Set<number>(),
  });
  const bridges = cluster.all('bridge');
  const overHttp: LoadDevice[] = [];
  const overMqtt: LoadDevice[] = [];
  for (const bridge of bridges) {
    overHttp.push(await register(`http-${bridge.name}`));
    const device = await register(`mqtt-${bridge.name}`);
    broker.allow([{ tenant: device.tenant, deviceId: device.id }], device.credentials.password);
    overMqtt.push(device);
  }
  const gates = await Promise.all(
    cluster.all('gateway').map(({ url }) => startTcpGate({ host: '127.0.0.1', port: Number(new URL(url).port) })),
  );
  const gateways = [...gates, ...gates].map(({ port }) => `http://127.0.0.1:${port}`);
  const token = await cluster.token(clusterTenant);
  // Each begins at a gateway of its own.
  const everywhere = <Payload extends { readonly cursor: string }>(query: string, variables = {}) =>
    gateways.map((_url, n) =>
      subscribeResuming<Payload>({
        token,
        query,
        variables,
        urls: [...gateways.slice(n), ...gateways.slice(0, n)],
      }),
    );
  const telemetry = everywhere<TelemetryPayload>(
    'subscription T($id: ID!, $since: String) { telemetry(deviceId: $id, since: $since) { cursor readings { metric value } } }',
    { id: overHttp[0]?.id },
  );
  const states = everywhere<StatePayload>(
    'subscription S($id: ID!, $since: String) { deviceState(deviceId: $id, since: $since) { cursor state { version metrics { name value } } } }',
    { id: overHttp[0]?.id },
  );
  const events = everywhere<EventPayload>(
    'subscription E($since: String) { events(since: $since) { cursor event { id type } } }',
  );
  // A cursor each before anything may go away: of a first event, and of the snapshot.
  const [first] = overHttp;
  const clients: MqttClient[] = [];
  for (const device of overMqtt) clients.push(await connectDevice(broker.url, device));
  await eventually(async () => {
    await client.registerDevice('first event');
    if (events.some(({ payloads }) => payloads.length === 0)) throw new Error('An event did not come.');
  });
  await eventually(() => {
    if (telemetry.some(({ payloads }) => payloads.length === 0)) throw new Error(`No snapshot of ${first?.id ?? ''}.`);
  });

  let sending = true;
  const lane = async (once: (n: number) => Promise<unknown>): Promise<void> => {
    for (let n = 0; sending; n += 1) {
      await once(n);
      await pause(80);
    }
  };
  const scissors = async (): Promise<void> => {
    while (sending) {
      await pause(200 + Math.random() * 1_300);
      const gate = gates[Math.floor(Math.random() * gates.length)];
      gate?.shut();
      gate?.open();
    }
  };
  const commands = new Map<string, string>();
  const lanes = [
    scissors(),
    ...overHttp.map((device, bridge) =>
      lane(async (number) => {
        if (await client.ingest(device.id, baseMs + number, { number }, bridge)) device.acknowledged.add(number);
        else await pause(100);
      }),
    ),
    ...overMqtt.map((device, n) =>
      lane(async (number) => {
        const payload = JSON.stringify({ ts: baseMs + number, values: { number } });
        await clients[n]?.publishAsync(topic(device, 'telemetry'), payload, { qos: 1 });
        device.acknowledged.add(number);
      }),
    ),
    ...overMqtt.map((device, n) =>
      lane(async (number) => {
        const idempotencyKey = `command-${n}-${number}`;
        const input = { deviceId: device.id, name: 'blink', timeToLive: 'PT1H', idempotencyKey };
        const answer = await client.data<{ sendCommand: { command: { id: string } } }>(sendCommand, { input });
        commands.set(idempotencyKey, answer.sendCommand.command.id);
        await pause(200);
      }),
    ),
  ];
  const sent = Promise.all(lanes);
  sent.catch(() => undefined); // Told by stopSending.
  return {
    baseMs,
    overHttp,
    overMqtt,
    commands,
    telemetry,
    states,
    events,
    progress: () =>
      [...overHttp, ...overMqtt].reduce((sum, { acknowledged }) => sum + acknowledged.size, 0) + commands.size,
    async stopSending() {
      sending = false;
      await sent;
    },
    async close() {
      sending = false;
      for (const subscription of [...telemetry, ...states, ...events]) await subscription.stop();
      for (const gate of gates) await gate[Symbol.asyncDispose]();
      for (const mqtt of clients) await mqtt.endAsync(true);
      await sent.catch(() => undefined);
    },
  };
}
