/** What was acknowledged is never lost: the whole platform is killed, and stopped, under load. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePorts, type CliProcess } from '../world/cli.js';
import { runDeployedCli } from '../world/deployed-cli.js';
import { eventually, within } from '../world/eventually.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-chaos-'));
  await chmod(directory, 0o755);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Running {
  readonly process: CliProcess;
  readonly gateway: string;
  readonly token: string;
  readonly device: {
    readonly id: string;
    readonly url: string;
    readonly clientId: string;
    readonly username: string;
    readonly password: string;
    readonly topic: string;
  };
}

/** Starts the platform on the directory; reads from what it prints where it is and who the sample device is. */
async function start(dataDirectory: string): Promise<Running> {
  const process_ = runDeployedCli(['start'], { ...freePorts, FLEETGRAPH_DATA_DIR: dataDirectory });
  await eventually(() => expect(process_.output()).toContain('curl -s'), 45_000);
  const output = process_.output();
  const words = (output.split('\n').find((line) => line.startsWith('mosquitto_pub')) ?? '').split(' ');
  const option = (flag: string) => words[words.indexOf(flag) + 1] ?? '';
  return {
    process: process_,
    gateway: /GraphQL \(HTTP, WebSocket\)\s+(\S+)\/graphql/.exec(output)?.[1] ?? '',
    token: /Bearer ([\w.-]+)/.exec(output)?.[1] ?? '',
    device: {
      id: option('-t').split('/')[2] ?? '',
      url: `mqtt://${option('-h')}:${option('-p')}`,
      clientId: option('-i'),
      username: option('-u'),
      password: option('-P'),
      topic: option('-t'),
    },
  };
}

/** Publishes until the connection breaks; gives the numbers that were acknowledged. */
async function publishUntilCut(
  client: MqttClient,
  topic: string,
  baseMs: number,
  acknowledged: Set<number>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (;;) {
      const number = next++;
      await client.publishAsync(topic, JSON.stringify({ ts: baseMs + number, values: { number } }), { qos: 1 });
      acknowledged.add(number);
    }
  };
  await Promise.allSettled(Array.from({ length: 20 }, lane));
}

async function storedNumbers({ gateway, token, device }: Running, baseMs: number): Promise<Set<number>> {
  const stored = new Set<number>();
  // In slices that stay raw: 5,000 points at most a query.
  for (let from = baseMs; ; from += 4_000) {
    const response = await fetch(`${gateway}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({
        query:
          'query N($id: ID!, $from: DateTime!, $to: DateTime!) { device(id: $id) { telemetry(metric: "number", from: $from, to: $to, maxPoints: 5000) { resolution points { last } } } }',
        variables: { id: device.id, from: new Date(from).toISOString(), to: new Date(from + 4_000).toISOString() },
      }),
    });
    const body = (await response.json()) as {
      data: { device: { telemetry: { resolution: string; points: { last: number }[] } } };
    };
    const { resolution, points } = body.data.device.telemetry;
    if (points.length === 0) return stored;
    expect(resolution).toBe('RAW');
    for (const { last } of points) stored.add(last);
  }
}

test.each(['SIGKILL', 'SIGTERM'] as const)(
  'every acknowledged reading is there after %s under load and a new start',
  { timeout: 120_000 },
  async (signal) => {
    const dataDirectory = join(directory, signal);
    const first = await start(dataDirectory);
    const { device } = first;
    const client = await connectAsync(device.url, {
      clientId: device.clientId,
      username: device.username,
      password: device.password,
      protocolVersion: 4,
      reconnectPeriod: 0,
    });
    client.on('error', () => undefined);
    const baseMs = Date.now() - 3_600_000;
    const acknowledged = new Set<number>();
    const publishing = publishUntilCut(client, device.topic, baseMs, acknowledged);
    await eventually(() => expect(acknowledged.size).toBeGreaterThan(1_500), 30_000);
    first.process.child.kill(signal);
    await within(first.process.exited, 30_000, `the end after ${signal}`);
    await client.endAsync(true);
    await publishing;

    const second = await start(dataDirectory);
    try {
      await eventually(async () => {
        const stored = await storedNumbers(second, baseMs);
        const lost = [...acknowledged].filter((number) => !stored.has(number));
        expect(lost).toEqual([]);
      }, 30_000);
    } finally {
      second.process.child.kill('SIGTERM');
      await within(second.process.exited, 30_000, 'the end of the second run');
    }
  },
);
