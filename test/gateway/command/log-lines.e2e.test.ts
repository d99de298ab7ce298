/**
 * What a gateway writes into its log under load. Once each request that its client broke off was an ERROR with a stack, and each
 * request during the outage of a subgraph a WARN.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli, type CliProcess } from '../../world/cli.js';
import { eventually } from '../../world/eventually.js';
import { openSocket } from '../protocol-client.js';
import { startSocketSubgraphs, type SocketSubgraphs } from './subgraphs-on-sockets.js';

let subgraphs: SocketSubgraphs;
let directory: string;
let command: CliProcess;
let url: string;

beforeAll(async () => {
  subgraphs = await startSocketSubgraphs();
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-lines-'));
  const file = join(directory, 'supergraph.graphql');
  await writeFile(file, subgraphs.supergraph());
  const settings = { LOG_LEVEL: 'info', GATEWAY_BODY_TIMEOUT_MS: '1000' };
  command = runCli(['gateway', '--supergraph', file, '--port', '0'], settings);
  url = await eventually(() => {
    const [found] = /http:\/\/\S+(?=\/graphql)/.exec(command.output()) ?? [];
    if (found === undefined) throw new Error(`It has not started: ${command.output()}`);
    return found;
  }, 60_000);
});
afterAll(async () => {
  command.child.kill('SIGKILL');
  await subgraphs[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly failures?: number;
  readonly reason?: string;
  readonly subgraph?: string;
}

/** Warnings and errors so far. */
function complaints(): Line[] {
  return command
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line)
    .filter(({ level }) => level >= 40);
}

async function ask(query: string, signal?: AbortSignal): Promise<{ readonly errors?: readonly unknown[] }> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
    ...(signal ? { signal } : {}),
  });
  return (await response.json()) as { readonly errors?: readonly unknown[] };
}

async function requests(outcome: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = new RegExp(`fleetgraph_gateway_requests_total\\{.*outcome="${outcome}".*\\} (\\d+)`).exec(text)?.[1];
  return Number(value ?? 0);
}

test('clients that go away in the middle of a request are counted, and write nothing', async () => {
  const leaving = new AbortController();
  // Each its own: equal requests of one caller run once.
  const left = Array.from({ length: 40 }, (_unused, n) => ask(`query Slow${n} { slow }`, leaving.signal));
  await eventually(() => expect(subgraphs.waiting).toBe(40));
  leaving.abort();
  for (const outcome of await Promise.allSettled(left)) expect(outcome.status).toBe('rejected');
  await eventually(async () => expect(await requests('aborted')).toBe(40));

  const client = await openSocket(`${url}/graphql`, {});
  client.subscribe('broken off', 'query OverASocket { slow }');
  client.subscribe('completed', 'query OverASocketToo { slow }');
  await eventually(() => expect(subgraphs.waiting).toBe(42));
  client.complete('completed');
  client.socket.terminate();
  await eventually(async () => expect(await requests('aborted')).toBe(42));

  expect(await requests('error')).toBe(0);
  expect(complaints()).toEqual([]);
  subgraphs.release();
});

test('clients that go away, or stay silent, in the middle of a body write nothing', async () => {
  const { hostname, port } = new URL(url);
  for (let n = 0; n < 20; n += 1) {
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /graphql HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"query":`,
    );
    await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
  }
  const silent = httpRequest(`${url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json' } });
  const answered = new Promise((resolve) => silent.once('response', resolve).once('error', resolve));
  silent.write('{"query":');
  await answered;
  silent.destroy();
  expect(await ask('{ station { wind } }')).toEqual({ data: { station: { wind: 12 } } });
  expect(complaints()).toEqual([]);
});

test('a subgraph that is away under load has one line when that begins and one when it is over', async () => {
  await subgraphs.leave();
  let failed = 0;
  await Promise.all(
    Array.from({ length: 10 }, async (_unused, client) => {
      for (let n = 0; n < 50; n += 1) {
        const { errors } = await ask(`query Away${client}x${n} { station { wind } }`);
        if (errors) failed += 1;
      }
    }),
  );
  expect(failed).toBe(500);
  await eventually(() => expect(complaints()).toHaveLength(1));
  await subgraphs.comeBack();
  await eventually(async () => expect((await ask('{ station { wind } }')).errors).toBeUndefined());
  // Ten seconds without a failure are wanted for that.
  await eventually(() => expect(complaints().length).toBeGreaterThan(1), 30_000);
  const [began, over, ...more] = complaints();
  expect(began).toMatchObject({ msg: 'subgraph does not answer', subgraph: 'weather', level: 40 });
  expect(began?.reason).toContain('ECONNREFUSED');
  expect(over).toMatchObject({ msg: 'subgraph does not answer: over', subgraph: 'weather', failures: 500 });
  expect(more).toEqual([]);
  expect(JSON.stringify([began, over])).not.toContain('    at ');
});
