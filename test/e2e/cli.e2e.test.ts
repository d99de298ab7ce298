/** What a stranger sees who types `npm start` on a fresh machine. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePorts, runCli, type CliProcess } from '../world/cli.js';
import { eventually, within } from '../world/eventually.js';

const exec = promisify(execFile);
let directory: string;
let running: CliProcess[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-cli-'));
  await chmod(directory, 0o755);
  running = [];
});
afterEach(async () => {
  for (const { child, exited } of running) {
    if (child.exitCode === null) child.kill('SIGTERM');
    await within(exited, 30_000, 'the end of a command');
  }
  await rm(directory, { recursive: true, force: true });
});

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): CliProcess {
  const process_ = runCli(args, { ...freePorts, FLEETGRAPH_DATA_DIR: join(directory, 'data'), ...env });
  running.push(process_);
  return process_;
}

async function started(process_: CliProcess): Promise<void> {
  await eventually(() => expect(process_.output()).toContain('curl -s'), 45_000);
}

function lineWith(process_: CliProcess, start: string): string {
  return (
    process_
      .output()
      .split('\n')
      .find((line) => line.startsWith(start)) ?? ''
  );
}

test('start prints lines that work when pasted, stops on Ctrl-C, and a second start finds its data', async () => {
  const first = run(['start']);
  await started(first);
  // mosquitto_pub itself may not be on the machine: its arguments are what counts.
  const words = lineWith(first, 'mosquitto_pub')
    .replace(/-m '.*'$/, '')
    .trim()
    .split(' ');
  const option = (flag: string) => words[words.indexOf(flag) + 1] ?? '';
  const device = await connectAsync(`mqtt://${option('-h')}:${option('-p')}`, {
    clientId: option('-i'),
    username: option('-u'),
    password: option('-P'),
    protocolVersion: 4,
  });
  await device.publishAsync(option('-t'), '{"temperature": 21.5}', { qos: 1 });
  await device.endAsync();
  await eventually(async () => {
    const { stdout } = await exec('bash', ['-c', lineWith(first, 'curl')]);
    expect(JSON.parse(stdout)).toMatchObject({
      data: { device: { name: 'Sample device', state: { metrics: [{ name: 'temperature', value: 21.5 }] } } },
    });
  });
  first.child.kill('SIGINT');
  expect(await within(first.exited, 30_000, 'the stop after Ctrl-C')).toBe(0);

  const second = run(['start']);
  await started(second);
  const { stdout } = await exec('bash', ['-c', lineWith(second, 'curl')]);
  expect(JSON.parse(stdout)).toMatchObject({
    data: { device: { name: 'Sample device', state: { metrics: [{ value: 21.5 }] }, presence: { online: false } } },
  });

  const rebuilding = run(['replay', '--projection', 'registry']);
  const unknown = run(['replay', '--projection', 'weather']);
  expect(await within(rebuilding.exited, 30_000, 'the end of a replay')).toBe(0);
  expect(rebuilding.output()).toMatch(/^registry is rebuilt of [1-9]\d* events/);
  expect(await within(unknown.exited, 30_000, 'the end of a replay')).toBe(78);
  expect(unknown.output()).toContain('There is no projection "weather" to rebuild.');
  await eventually(async () => {
    const answer = await exec('bash', ['-c', lineWith(second, 'curl')]);
    expect(JSON.parse(answer.stdout)).toMatchObject({ data: { device: { name: 'Sample device' } } });
  });
});

test(
  'a taken port, a directory in use, a directory that is a file and a bad setting each end in one sentence and a code',
  { timeout: 240_000 },
  async () => {
    const first = run(['start']);
    await started(first);
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as AddressInfo;
    await writeFile(join(directory, 'file'), '');
    const faults: [Record<string, string>, RegExp][] = [
      [
        { FLEETGRAPH_DATA_DIR: join(directory, 'other'), GATEWAY_PORT: String(port) },
        new RegExp(`^fleetgraph: Port ${port} on 127.0.0.1, which gateway needs, is taken\\..*GATEWAY_PORT`),
      ],
      [
        { FLEETGRAPH_DATA_DIR: join(directory, 'other'), MQTT_PORT: String(port) },
        new RegExp(`^fleetgraph: Port ${port} .*is taken\\..*MQTT_PORT`),
      ],
      [{}, /^fleetgraph: The data directory .* is in use by another fleetgraph \(pid \d+\)/],
      [{ FLEETGRAPH_DATA_DIR: join(directory, 'file') }, /^fleetgraph: The data directory .*file can't be written/],
      [{ GATEWAY_PORT: 'eighty' }, /^fleetgraph: Bad configuration: GATEWAY_PORT/],
      [
        { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none', STARTUP_TIMEOUT_MS: '1', LOG_LEVEL: 'error' },
        /^fleetgraph: The database at .* can't be used .*Check DATABASE_URL/,
      ],
      [{ NODE_ENV: 'production' }, /^fleetgraph: The development issuer is not for production/],
    ];
    for (const [env, sentence] of faults) {
      const attempt = run(['start'], env);
      expect(await within(attempt.exited, 45_000, 'the refusal')).toBe(78);
      expect(attempt.output().trim()).toMatch(sentence);
      expect(attempt.output().trim().split('\n')).toHaveLength(1);
    }
    blocker.close();
  },
);

test('simulate registers devices, publishes at the rate and has every message acknowledged', async () => {
  const platform = run(['start']);
  await started(platform);
  const gateway = /GraphQL \(HTTP, WebSocket\)\s+(\S+)\/graphql/.exec(platform.output())?.[1] ?? '';
  const mqtt = /MQTT\s+(mqtt:\S+)/.exec(platform.output())?.[1] ?? '';
  const simulation = run([
    'simulate',
    '--devices',
    '50',
    '--rate',
    '100',
    '--seconds',
    '4',
    '--gateway',
    gateway,
    '--mqtt',
    mqtt,
  ]);
  expect(await within(simulation.exited, 60_000, 'the simulation')).toBe(0);
  const summary = /sent ([\d,]+), acknowledged ([\d,]+) in/.exec(simulation.output());
  expect(summary?.[1]).toBe(summary?.[2]);
  expect(Number(summary?.[1]?.replaceAll(',', ''))).toBeGreaterThan(200);
  expect(simulation.output()).toMatch(/sent [\d,]+ · acked [\d,]+ · [\d,]+\/s/);
});

test('token prints a token for the tenant and scopes asked for', async () => {
  const command = run(['token', '--tenant', 'umbrella', '--scope', 'device:read telemetry:read']);
  expect(await within(command.exited, 30_000, 'the token')).toBe(0);
  const claims = JSON.parse(Buffer.from(command.output().trim().split('.')[1] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >;
  expect(claims).toMatchObject({ tenant: 'umbrella', scope: 'device:read telemetry:read' });
});
