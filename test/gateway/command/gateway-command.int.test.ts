/** `fleetgraph gateway`: a process in front of subgraphs that it knows from a file alone. */
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGatewayRole } from '../../../gateway/gateway.js';
import { fixedSupergraph, supergraphFile } from '../../../gateway/supergraph/supergraph-source.js';
import { readConfig } from '../../../platform/config/config.js';
import { runCli, type CliProcess } from '../../world/cli.js';
import { silentLog } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { openSocket } from '../protocol-client.js';
import { startSocketSubgraphs, type SocketSubgraphs } from './subgraphs-on-sockets.js';

let subgraphs: SocketSubgraphs;
let directory: string;
let file: string;
let command: CliProcess;
let url: string;

beforeAll(async () => {
  subgraphs = await startSocketSubgraphs();
  subgraphs.rain();
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-supergraph-'));
  file = join(directory, 'supergraph.graphql');
  await writeFile(file, subgraphs.supergraph());
  command = runCli(['gateway', '--supergraph', file, '--port', '0'], { LOG_LEVEL: 'info' });
  url = await eventually(() => {
    const [found] = /http:\/\/\S+(?=\/graphql)/.exec(command.output()) ?? [];
    if (found === undefined) throw new Error(`It has not started: ${command.output()}`);
    return found;
  });
});
afterAll(async () => {
  command.child.kill('SIGKILL');
  await subgraphs[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function ask(query: string, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query }),
  });
  return response.json();
}

/** Replaces the file in one step, as deployments do. */
async function replace(text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

test('it is healthy, and anybody may ask it', async () => {
  expect((await fetch(`${url}/health`)).status).toBe(200);
  expect(await ask('{ station { name wind } }')).toEqual({ data: { station: { name: 'Harbour', wind: 12 } } });
});

test('what a client says of itself is for the subgraphs to judge', async () => {
  await ask('{ station { wind } }', { authorization: 'Basic YTpi' });
  expect(subgraphs.headers['authorization']).toBe('Basic YTpi');
});

test('a subscription of a subgraph is joined with the fields of the others', async () => {
  const client = await openSocket(`${url}/graphql`, {});
  client.subscribe('1', 'subscription { gusts { wind name } }');
  expect(await client.payload('1', 1)).toEqual({ data: { gusts: { wind: 30, name: 'Harbour' } } });
  client.socket.terminate();
});

test('a new supergraph is taken over without an error for anybody, and a bad one is not', async () => {
  const under = ask('{ slow }');
  await eventually(() => expect(subgraphs.waiting).toBe(1));
  const answers: unknown[] = [];
  let isOver = false;
  const traffic = (async () => {
    while (!isOver) answers.push(await ask('{ station { wind } }'));
  })();
  await replace('type Query { broken: ');
  command.child.kill('SIGHUP');
  await eventually(() => expect(command.output()).toContain('keeps the one that it has'));
  await replace(subgraphs.supergraph('more'));
  await eventually(async () => expect(await ask('{ station { rain } }')).toEqual({ data: { station: { rain: 3 } } }));
  subgraphs.release();
  expect(await under).toEqual({ data: { slow: 'done' } });
  isOver = true;
  await traffic;
  expect(answers.length).toBeGreaterThan(1);
  expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
    new Set(['{"data":{"station":{"wind":12}}}']),
  );
});

// Gateways have closed every subscription at a reload, before the new schema was live, and all clients came again in one instant.
test('a new supergraph closes no subscription that it still allows; another ends alone, and says why', async () => {
  const client = await openSocket(`${url}/graphql`, {});
  client.subscribe('kept', 'subscription { watched { name } }');
  client.subscribe('gone', 'subscription { watched { wind } }');
  for (const id of ['kept', 'gone']) await client.payload(id);
  await eventually(() => expect(subgraphs.watchers).toBe(2));
  await replace(subgraphs.supergraph('calm'));
  const [error] = await client.error('gone');
  expect(error?.extensions?.['code']).toBe('BAD_USER_INPUT');
  expect(error?.message).toContain('"wind"');
  subgraphs.blow();
  expect(await client.payload('kept', 1)).toEqual({ data: { watched: { name: 'Harbour' } } });
  expect(client.types('kept')).toEqual(['next', 'next']);
  expect(client.types('gone')).toEqual(['next', 'error']);
  client.subscribe('late', 'subscription { watched { wind } }');
  expect((await client.error('late'))[0]?.extensions?.['code']).toBe('BAD_USER_INPUT');
  client.socket.terminate();
});

test('labels in a claim are refused where no token is verified', async () => {
  const settings = { GATEWAY_OVERRIDE_LABELS_CLAIM: 'labels' };
  const refused = runCli(['gateway', '--supergraph', file, '--port', '0'], settings);
  expect(await refused.exited).not.toBe(0);
  expect(refused.output()).toContain('GATEWAY_OVERRIDE_LABELS_CLAIM needs JWKS_URL');
});

test('it ends when it is told to', async () => {
  command.child.kill('SIGTERM');
  expect(await command.exited).toBe(0);
});

test.each([
  ['is not there', () => supergraphFile('/nowhere/supergraph.graphql'), /can't be read .*--supergraph/],
  ['is no supergraph', () => fixedSupergraph(async () => 'type Query { a: Int }'), /The supergraph can't be used/],
  [
    'has no addresses',
    () => fixedSupergraph(async () => subgraphs.supergraph().replace(/url: "http[^"]*names"/, 'url: ""')),
    /no address of the subgraph "names"/,
  ],
  [
    'asks for scopes that nobody would check',
    () =>
      fixedSupergraph(async () => readFile(new URL('../../../gateway/supergraph.graphql', import.meta.url), 'utf8')),
    /Set JWKS_URL/,
  ],
])('a supergraph that %s is said to be so at the start', async (_what, source, message) => {
  const role = createGatewayRole({
    config: readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0' }),
    log: silentLog,
    metrics: new Registry(),
    supergraph: source(),
  });
  await expect(role.start()).rejects.toThrow(message);
  await role.stop();
});
