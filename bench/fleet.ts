/** Devices for a benchmark: registered through the API, connected over MQTT. */
import { connectAsync, type MqttClient } from 'mqtt';
import { createApiClient } from '../cli/api-client.js';
import { pause } from '../platform/lifecycle/wait.js';
import type { RunningPlatform } from './process.js';

export interface BenchDevice {
  readonly id: string;
  readonly client: MqttClient;
  readonly topic: string;
}

/** `count` connected devices of tenant `bench`. */
export async function connectFleet(platform: RunningPlatform, count: number): Promise<readonly BenchDevice[]> {
  const api = createApiClient({ url: platform.gateway, token: platform.token });
  const devices = Array.from({ length: count }, (_unused, index) => ({
    name: `Device ${index}`,
    typeId: 'generic',
    labels: [{ key: 'bench', value: 'yes' }],
  }));
  interface Registered {
    registerDevices: {
      results: { device: { id: string }; credentials: { clientId: string; username: string; password: string } }[];
    };
  }
  const { registerDevices } = await api.request<Registered>(
    `mutation Register($input: RegisterDevicesInput!) { registerDevices(input: $input) { results { device { id } credentials { clientId username password } } } }`,
    { input: { devices } },
  );
  return Promise.all(
    registerDevices.results.map(async ({ device, credentials }) => ({
      id: device.id,
      topic: `fleet/bench/${device.id}/telemetry`,
      client: await connectAsync(platform.mqtt, { ...credentials, protocolVersion: 4 }),
    })),
  );
}

/**
 * Publishes with QoS 1 as fast as acknowledgements come, each publisher with `window` messages in flight, for `seconds`.
 * @returns messages acknowledged, and the seconds until the last acknowledgement.
 */
export async function publishFlatOut(options: {
  publishers: readonly { readonly client: MqttClient; readonly topic: string }[];
  window: number;
  seconds: number;
  payload: () => string;
}): Promise<{ acknowledged: number; seconds: number }> {
  const startedAt = performance.now();
  const until = startedAt + options.seconds * 1_000;
  let acknowledged = 0;
  const publisher = async ({ client, topic }: { client: MqttClient; topic: string }): Promise<void> => {
    while (performance.now() < until) {
      await client.publishAsync(topic, options.payload(), { qos: 1 });
      acknowledged += 1;
    }
  };
  await Promise.all(
    options.publishers.flatMap((target) => Array.from({ length: options.window }, () => publisher(target))),
  );
  return { acknowledged, seconds: (performance.now() - startedAt) / 1_000 };
}

/** Publishes `rate` messages a second with QoS 1, by turns, for `seconds`; resolves when all are acknowledged. */
export async function publishSteadily(options: {
  publishers: readonly { readonly client: MqttClient; readonly topic: string }[];
  rate: number;
  seconds: number;
  payload: () => string;
}): Promise<void> {
  const { publishers, rate } = options;
  const startedAt = performance.now();
  const elapsedSeconds = () => (performance.now() - startedAt) / 1_000;
  const inFlight: Promise<unknown>[] = [];
  for (let sent = 0; elapsedSeconds() < options.seconds;) {
    for (const due = elapsedSeconds() * rate; sent < due; sent += 1) {
      const next = publishers[sent % publishers.length];
      if (next) inFlight.push(next.client.publishAsync(next.topic, options.payload(), { qos: 1 }));
    }
    await pause(5);
  }
  await Promise.all(inFlight);
}
