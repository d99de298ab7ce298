/** What docs/gateway.md shows of requests and answers, asked of a gateway: its JSON, its operation, and the table of media types. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGateway, type GatewayWorld } from '../gateway/gateway-world.js';
import { code, fencedBlocks, read, tableRows } from './repository.js';

const manual = read('docs/gateway.md');
const [persisted = '', byId = '', costs = ''] = fencedBlocks(manual, 'json');
const [page = ''] = fencedBlocks(manual, 'graphql');
let directory: string;
let world: GatewayWorld;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-examples-'));
  const { documentId } = JSON.parse(byId) as { documentId: string };
  await writeFile(
    join(directory, 'relay.json'),
    JSON.stringify({ [documentId]: 'query Summary { fleet { devices } }' }),
  );
  world = await startGateway({ settings: { GATEWAY_PERSISTED_OPERATIONS: directory } });
  world.subgraphs.devices.set('acme', [{ id: 'boiler', name: 'Boiler 1' }]);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function post(body: object, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${await world.issuer.token('acme')}`,
      ...headers,
    },
    body: JSON.stringify(body),
  });
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    answer: (await response.json()) as object,
  };
}

test('a persisted query is not known before it was sent with its text, and then is', async () => {
  const body = JSON.parse(persisted) as object;
  expect((await post(body)).answer).toMatchObject({ errors: [{ extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } }] });
  const data = { __typename: 'Query' };
  expect((await post({ ...body, query: '{__typename}' })).answer).toEqual({ data });
  expect((await post(body)).answer).toEqual({ data });
});

test('an operation that a build has extracted is asked for by its id', async () => {
  expect((await post(JSON.parse(byId) as object)).answer).toEqual({ data: { fleet: { devices: 2 } } });
});

test('the page costs what is said of it, of as much as is said', async () => {
  const { answer } = await post({ query: page, extensions: { cost: true } });
  const { extensions } = JSON.parse(costs) as {
    extensions: { cost: { estimated: number; actual: number; limit: number } };
  };
  const { estimated, limit } = extensions.cost;
  expect(answer).toMatchObject({ extensions: { cost: { estimated, limit } } });
  expect(manual).toContain(`and costs\n${estimated}:`);
  // Of one device: the connection, an edge, the device and its presence.
  expect(answer).toMatchObject({ extensions: { cost: { actual: extensions.cost.actual } } });
});

test('media types and statuses are those of the table', async () => {
  const rows = new Map(tableRows(manual, 'you send').map(([sent = '', got = '']) => [sent, got]));
  const refusedBy = async (accept: string) => post({ query: '{ nothing }' }, { accept });
  const modern = await refusedBy('application/graphql-response+json');
  expect([modern.status, modern.type]).toEqual([400, 'application/graphql-response+json; charset=utf-8']);
  expect(rows.get('`accept: application/graphql-response+json`')).toContain('400');
  const legacy = await refusedBy('application/json');
  expect([legacy.status, legacy.type]).toEqual([200, 'application/json; charset=utf-8']);
  expect(rows.get('`accept: application/json`')).toContain('200');
  const any = await refusedBy('*/*');
  expect([any.status, any.type]).toEqual([400, 'application/json; charset=utf-8']);
  expect(rows.get('`accept: */*`, or none')).toContain(code('`application/json`'));
});
