/** (b) From a device's publish to the frame on a dashboard's WebSocket. */
import { pause } from '../platform/lifecycle/wait.js';
import { connectFleet } from './fleet.js';
import { startPlatformProcess } from './process.js';
import { quantile, round, type Section } from './section.js';
import { subscribeMany } from './subscribers.js';

const devices = 20;
const rates = [20, 200, 1_000];
const seconds = 8;

export async function measureSubscriptionLatency(): Promise<Section> {
  await using platform = await startPlatformProcess();
  const fleet = await connectFleet(platform, devices);
  let latencies: number[] = [];
  await using _sockets = await subscribeMany({
    url: `${platform.gateway.replace(/^http/, 'ws')}/graphql`,
    token: platform.token,
    count: devices,
    payload: (index) => ({
      query:
        'subscription T($id: ID!) { telemetry(deviceId: $id, metrics: ["sentAt"]) { cursor readings { metric at value } device { name } } }',
      variables: { id: fleet[index]?.id },
    }),
    onMessage: (text) => {
      const now = Date.now() + (performance.now() % 1);
      for (const match of text.matchAll(/"value":([\d.]+)/g)) latencies.push(now - Number(match[1]));
    },
  });
  const rows: (string | number)[][] = [];
  for (const rate of rates) {
    latencies = [];
    const startedAt = Date.now();
    const inFlight: Promise<unknown>[] = [];
    for (let sent = 0; Date.now() - startedAt < seconds * 1_000;) {
      for (const due = ((Date.now() - startedAt) / 1_000) * rate; sent < due; sent += 1) {
        const device = fleet[sent % devices];
        if (device)
          inFlight.push(device.client.publishAsync(device.topic, JSON.stringify({ sentAt: Date.now() }), { qos: 1 }));
      }
      await pause(2);
    }
    await Promise.all(inFlight);
    await pause(1_500);
    rows.push([rate, latencies.length, round(quantile(latencies, 0.5)), round(quantile(latencies, 0.99))]);
  }
  await Promise.all(fleet.map(({ client }) => client.endAsync(true)));
  return {
    title: 'Publish to subscriber over WebSocket',
    method: `${devices} devices, each watched by one socket at the gateway with \`telemetry { cursor readings { … } device { name } }\` (joins two subgraphs). Latency is from before the MQTT publish to the frame's arrival, durable on the bus and committed in the projection in between.`,
    columns: ['messages/s published', 'readings received', 'p50 ms', 'p99 ms'],
    rows,
  };
}
