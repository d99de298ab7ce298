/** `fleetgraph gateway` with GATEWAY_WORKERS=2: two processes behind one port. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli, type CliProcess } from '../../world/cli.js';
import { eventually, within } from '../../world/eventually.js';
import { startSocketSubgraphs, type SocketSubgraphs } from '../command/subgraphs-on-sockets.js';
import { openSocket } from '../protocol-client.js';

let subgraphs: SocketSubgraphs;
let directory: string;
let file: string;
let command: CliProcess;
let url: string;

beforeEach(async () => {
  subgraphs = await startSocketSubgraphs();
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-workers-'));
  file = join(directory, 'supergraph.graphql');
  await writeFile(file, subgraphs.supergraph());
  const settings = { LOG_LEVEL: 'info', GATEWAY_WORKERS: '2' };
  command = runCli(['gateway', '--supergraph', file, '--port', '0'], settings);
  url = await eventually(() => {
    const [found] = /http:\/\/\S+(?=\/graphql)/.exec(command.output()) ?? [];
    if (found === undefined) throw new Error(`It has not started: ${command.output()}`);
    return found;
  }, 60_000);
});
afterEach(async () => {
  command.child.kill('SIGKILL');
  await command.exited;
  await subgraphs[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** Pids of the workers that live, in the order of their starts. */
function workerPids(): number[] {
  const { pid } = command.child;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  const isWorker = (child: number): boolean =>
    readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('gateway-worker');
  return children === '' ? [] : children.split(' ').map(Number).filter(isWorker);
}

/** A request on a connection of its own, so that the workers take turns. */
function get(path: string, body?: object): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const options = { agent: false, method: body ? 'POST' : 'GET', headers: { 'content-type': 'application/json' } };
    const sent = httpRequest(`${url}${path}`, options, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject).end(body ? JSON.stringify(body) : undefined);
  });
}

async function ask(query: string): Promise<unknown> {
  return JSON.parse((await get('/graphql', { query })).text);
}

async function metric(line: string): Promise<number> {
  const { text } = await get('/metrics');
  const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1) ?? 0);
}

const requestsOk = 'fleetgraph_gateway_requests_total{type="query",outcome="ok"}';
const wind = { data: { station: { wind: 12 } } };

test('two workers answer at one port, and whichever is asked has the metrics of both', async () => {
  expect(workerPids()).toHaveLength(2);
  for (let n = 0; n < 20; n += 1) expect(await ask('{ station { wind } }')).toEqual(wind);
  for (let n = 0; n < 4; n += 1) expect(await metric(requestsOk)).toBe(20);
  expect((await get('/readyz')).status).toBe(200);
  const sockets = await Promise.all([1, 2, 3, 4].map(() => openSocket(`${url}/graphql`, {})));
  for (let n = 0; n < 4; n += 1) expect(await metric('fleetgraph_gateway_websockets')).toBe(4);

  // Connections go to the workers by turns: each has two of the four sockets.
  const [killed = 0] = workerPids();
  const gone: unknown[] = [];
  for (const { closed } of sockets) void closed.then(() => gone.push(closed));
  process.kill(killed, 'SIGKILL');
  await eventually(() => expect(gone).toHaveLength(2));
  await eventually(() => expect(command.output()).toContain('the worker was replaced'));
  expect(workerPids()).toHaveLength(2);
  expect(workerPids()).not.toContain(killed);
  expect(gone).toHaveLength(2);

  // Whatever the new worker has not counted stays counted, or Prometheus would see a restart of all.
  expect(await metric(requestsOk)).toBe(20);
  for (let n = 0; n < 4; n += 1) expect(await ask('{ station { wind } }')).toEqual(wind);
  expect(await metric(requestsOk)).toBe(24);
  expect((await get('/readyz')).status).toBe(200);
  for (const { socket } of sockets) socket.terminate();
});

test('a line of the log says which worker it is of', async () => {
  const lines = command
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { worker?: number; msg: string });
  const listening = lines.filter(({ msg }) => msg === 'gateway is listening').map(({ worker }) => worker);
  expect(listening.sort()).toEqual([1, 2]);
});

test('a new supergraph reaches both workers', async () => {
  subgraphs.rain();
  await writeFile(`${file}.new`, subgraphs.supergraph('more'));
  await rename(`${file}.new`, file);
  command.child.kill('SIGHUP');
  await eventually(async () => {
    for (let n = 0; n < 6; n += 1)
      expect(await ask('{ station { rain } }')).toEqual({ data: { station: { rain: 3 } } });
  });
});

test('a stop lets both workers answer what they have taken, then ends the program', async () => {
  const under = [1, 2, 3, 4].map((n) => ask(`query Q${n} { slow }`));
  await eventually(() => expect(subgraphs.waiting).toBe(4));
  const sockets = await Promise.all([1, 2].map(() => openSocket(`${url}/graphql`, {})));
  command.child.kill('SIGTERM');
  for (const { closed } of sockets) expect((await within(closed, 20_000, 'the close of a socket')).code).toBe(1001);
  expect(workerPids()).toHaveLength(2);
  subgraphs.release();
  for (const answer of await Promise.all(under)) expect(answer).toEqual({ data: { slow: 'done' } });
  expect(await within(command.exited, 20_000, 'the stop')).toBe(0);
});

test('the signals of a terminal reach every process, and only the first one counts', async () => {
  const under = ask('{ slow }');
  await eventually(() => expect(subgraphs.waiting).toBe(1));
  for (const pid of workerPids()) process.kill(pid, 'SIGINT');
  command.child.kill('SIGINT');
  subgraphs.release();
  expect(await under).toEqual({ data: { slow: 'done' } });
  expect(await within(command.exited, 20_000, 'the stop')).toBe(0);
});

test('workers do not outlive the process that has forked them', async () => {
  const pids = workerPids();
  command.child.kill('SIGKILL');
  await command.exited;
  await eventually(() => {
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  });
});

test('a worker that dies again and again ends the program with an error', async () => {
  const dead = new Set<number>();
  const [first = 0, second = 0] = workerPids();
  let isOver = false;
  void command.exited.then(() => (isOver = true));
  process.kill(first, 'SIGKILL');
  dead.add(first).add(second);
  while (!isOver) {
    await eventually(() => {
      if (isOver) return;
      const found = workerPids().find((pid) => !dead.has(pid));
      if (found === undefined) throw new Error('It has not been started again.');
      dead.add(found);
      process.kill(found, 'SIGKILL');
    });
  }
  expect(await command.exited).toBe(1);
  expect(command.output()).toContain('of the gateway died 5 times within a minute');
  // The five, and the other one, which was not killed here.
  expect(dead.size).toBeGreaterThanOrEqual(6);
  expect(() => process.kill(second, 0)).toThrow();
});
