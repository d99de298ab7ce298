/** `fleetgraph simulate`: registers devices through the API, then publishes as real MQTT clients at a steady rate. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readConfig } from '../platform/config/config.js';
import { messageOf, StartupError } from '../platform/errors.js';
import { createApiClient } from './api-client.js';
import { openFleet } from './simulator/fleet.js';
import { createProgress } from './simulator/progress.js';
import { connectDevice, type RunningDevice } from './simulator/simulated-device.js';
import { developmentToken } from './token.js';

export interface SimulateOptions {
  readonly devices: number;
  /** Messages a second, of all devices together. */
  readonly rate: number;
  readonly seconds?: number;
  readonly tenant: string;
  readonly gateway?: string;
  readonly mqtt?: string;
  readonly token?: string;
}

/** Simulates until it has published for `seconds`, a signal comes or `stopped` resolves. Exit code 1 if a message stayed without an ack. */
export async function simulate(options: SimulateOptions): Promise<void> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    await runSimulation({ ...options, signal: stop.signal });
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** The simulation itself, until `signal`. Resolves when every client has disconnected. */
export async function runSimulation(options: SimulateOptions & { signal: AbortSignal }): Promise<void> {
  const config = readConfig();
  const gateway = options.gateway ?? `http://${config.host}:${config.ports.gateway}`;
  const mqtt = options.mqtt ?? `mqtt://${config.host}:${config.ports.mqtt}`;
  const token =
    options.token ?? (await developmentToken({ tenant: options.tenant, subject: 'simulator', lifetime: 86_400 }));
  const api = createApiClient({ url: gateway, token });
  const fleet = await openFleet({
    api,
    count: options.devices,
    file: join(config.dataDirectory, 'simulator', `${options.tenant}.json`),
  });

  const progress = createProgress(process.stdout);
  progress.note(
    `${fleet.length} devices of tenant ${options.tenant} connect to ${mqtt}, ${options.rate} messages a second in all`,
  );
  const running: RunningDevice[] = [];
  try {
    for (let from = 0; from < fleet.length && !options.signal.aborted; from += 50) {
      const connecting = fleet
        .slice(from, from + 50)
        .map((device) =>
          connectDevice({ device, tenant: options.tenant, url: mqtt, onReconnect: progress.reconnecting }),
        );
      running.push(...(await Promise.all(connecting)));
    }
  } catch (error) {
    await Promise.all(running.map((device) => device.stop()));
    throw new StartupError(
      `The devices can't connect to ${mqtt}: ${messageOf(error)}. Is fleetgraph running, with the same data directory?`,
      { cause: error },
    );
  }
  // Counted from here: that thousands of devices connect first is no reason to publish less.
  const ended =
    options.seconds === undefined
      ? options.signal
      : AbortSignal.any([options.signal, AbortSignal.timeout(options.seconds * 1_000)]);
  await publishSteadily({ devices: running, rate: options.rate, signal: ended, progress });
  await Promise.all(running.map((device) => device.stop()));
  progress.finish();
  if (progress.unacknowledged() > 0) process.exitCode = 1;
}

/** Publishes at `rate`, round robin. When acks lag behind by five seconds of messages, it waits for them. */
async function publishSteadily(options: {
  devices: readonly RunningDevice[];
  rate: number;
  signal: AbortSignal;
  progress: ReturnType<typeof createProgress>;
}): Promise<void> {
  const { devices, rate, signal, progress } = options;
  const startedAt = performance.now();
  const maxInFlight = Math.max(50, rate * 5);
  const inFlight = new Set<Promise<void>>();
  let sent = 0;
  while (!signal.aborted) {
    const due = Math.floor(((performance.now() - startedAt) / 1_000) * rate);
    for (; sent < due && inFlight.size < maxInFlight; sent += 1) {
      const device = devices[sent % devices.length];
      if (!device) break;
      const publishing = progress.track(device.publish()).finally(() => inFlight.delete(publishing));
      inFlight.add(publishing);
    }
    await delay(20, undefined, { signal }).catch(() => undefined);
    progress.tick();
  }
  await Promise.race([Promise.all(inFlight), delay(10_000, undefined, { ref: false })]);
}
