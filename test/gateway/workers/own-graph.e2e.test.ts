/** `fleetgraph start` with GATEWAY_WORKERS=2, as the image has it: two workers of the gateway beside the process of the other roles. */
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pause } from '../../../platform/lifecycle/wait.js';
import { freePorts, type CliProcess } from '../../world/cli.js';
import { runDeployedCli } from '../../world/deployed-cli.js';
import { eventually, within } from '../../world/eventually.js';
import { createPlatformClients, type PlatformClients } from '../../world/platform-clients.js';

let directory: string;
let program: CliProcess;
let clients: PlatformClients & AsyncDisposable;
let operations: string;
let device: { readonly id: string; readonly topic: string; readonly client: MqttClient };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-own-workers-'));
  await chmod(directory, 0o755);
  const settings = { FLEETGRAPH_DATA_DIR: join(directory, 'data'), GATEWAY_WORKERS: '2', LOG_LEVEL: 'info' };
  program = runDeployedCli(['start'], { ...freePorts, ...settings });
  await eventually(() => expect(program.output()).toContain('curl -s'), 100_000);
  const output = program.output();
  const words = (output.split('\n').find((line) => line.startsWith('mosquitto_pub')) ?? '').split(' ');
  const option = (flag: string) => words[words.indexOf(flag) + 1] ?? '';
  const mqtt = `mqtt://${option('-h')}:${option('-p')}`;
  const gateway = /GraphQL \(HTTP, WebSocket\)\s+(\S+)\/graphql/.exec(output)?.[1] ?? '';
  const token = /Bearer ([\w.-]+)/.exec(output)?.[1] ?? '';
  operations = /Health and metrics\s+(\S+)\/readyz/.exec(output)?.[1] ?? '';
  clients = createPlatformClients({ gateway, bridge: '', mqtt, token: async () => token });
  const login = { clientId: option('-i'), username: option('-u'), password: option('-P') };
  const client = await connectAsync(mqtt, { ...login, protocolVersion: 4 });
  device = { id: option('-t').split('/')[2] ?? '', topic: option('-t'), client };
}, 120_000);
afterAll(async () => {
  await device.client.endAsync(true);
  await clients[Symbol.asyncDispose]();
  program.child.kill('SIGKILL');
  await program.exited;
  await rm(directory, { recursive: true, force: true });
});

function workerPids(): number[] {
  const { pid } = program.child;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  return children.filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('gateway-worker'));
}

async function metrics(url: string): Promise<string> {
  return (await fetch(`${url}/metrics`)).text();
}

interface Reading {
  readonly telemetry: { readonly cursor: string; readonly readings: readonly { readonly value: number }[] };
}

/** Subscribes, and again behind the last cursor whenever the socket breaks, as a dashboard does. */
function follow(deviceId: string) {
  const values: number[] = [];
  let cursor: string | undefined;
  let isFollowing = true;
  let subscribed = 0;
  const running = (async () => {
    while (isFollowing) {
      const subscriber = await clients.subscribe<Reading>(
        'subscription T($id: ID!, $since: String) { telemetry(deviceId: $id, since: $since) { cursor readings { value } } }',
        { id: deviceId, since: cursor ?? null },
      );
      subscribed += 1;
      let seen = 0;
      const take = (): void => {
        for (const { telemetry } of subscriber.received.slice(seen)) {
          cursor = telemetry.cursor;
          values.push(...telemetry.readings.map(({ value }) => value));
        }
        seen = subscriber.received.length;
      };
      while (isFollowing && subscriber.failure() === undefined) {
        take();
        await pause(20);
      }
      take();
      subscriber.stop();
    }
  })();
  running.catch(() => undefined);
  return {
    values,
    subscribed: () => subscribed,
    async stop() {
      isFollowing = false;
      await running;
    },
  };
}

test('the workers verify tokens and ask the subgraphs of the primary, whose metrics have theirs among them', async () => {
  expect(workerPids()).toHaveLength(2);
  for (let n = 0; n < 4; n += 1)
    expect(await clients.data('{ device(id: "' + device.id + '") { name presence { online } } }')).toEqual({
      device: { name: 'Sample device', presence: { online: true } },
    });
  const refused = await clients.graphql('{ fleet { devices } }', {}, { token: 'not.a.token' });
  expect(refused.errors?.[0]?.extensions?.code).toBe('UNAUTHENTICATED');
  for (const url of [operations, clients.gateway]) {
    const text = await metrics(url);
    // Of a worker, and of the primary.
    expect(text).toMatch(/fleetgraph_gateway_requests_total\{.*outcome="ok".*\} [1-9]/);
    expect(text).toMatch(/fleetgraph_bridge_logins_total\{.*\} [1-9]/);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  }
});

test('who follows a worker that is killed resumes at another one, without a gap and without a repetition', async () => {
  const follower = follow(device.id);
  let last = 0;
  const publish = async (): Promise<void> => {
    last += 1;
    await device.client.publishAsync(device.topic, JSON.stringify({ n: last }), { qos: 1 });
  };
  // What the first payload has, is what was there before.
  await eventually(async () => {
    await publish();
    expect(follower.values.length).toBeGreaterThan(0);
  });
  let isOver = false;
  const publishing = (async () => {
    while (!isOver) await publish();
  })();
  // One of the two has the socket; after both it was broken once at least.
  for (const pid of workerPids()) {
    const { length } = follower.values;
    await eventually(() => expect(follower.values.length).toBeGreaterThan(length + 20));
    const replaced = program.output().split('the worker was replaced').length;
    process.kill(pid, 'SIGKILL');
    await eventually(() => expect(program.output().split('the worker was replaced').length).toBe(replaced + 1), 60_000);
  }
  expect(follower.subscribed()).toBeGreaterThan(1);
  isOver = true;
  await publishing;
  await eventually(() => expect(follower.values.at(-1)).toBe(last), 60_000);
  await follower.stop();
  const [first = 0] = follower.values;
  expect(follower.values).toEqual(Array.from({ length: last - first + 1 }, (_unused, index) => first + index));
});

test('a stop ends the workers before the roles that they ask', async () => {
  program.child.kill('SIGTERM');
  expect(await within(program.exited, 40_000, 'the stop')).toBe(0);
  expect(program.output()).not.toContain('did not drain in time');
  expect(program.output()).not.toContain('subgraph does not answer');
});
