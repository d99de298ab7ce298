/** A gateway that runs what it knows and nothing else; and one that takes small batches. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGateway, type GatewayWorld } from '../gateway-world.js';

const known = 'query Summary { fleet { devices } }';
let directory: string;
let world: GatewayWorld;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-operations-'));
  await writeFile(join(directory, 'relay.json'), JSON.stringify({ summary: known }));
  world = await startGateway({
    settings: {
      GATEWAY_PERSISTED_OPERATIONS: directory,
      GATEWAY_PERSISTED_ONLY: 'true',
      GATEWAY_MAX_BATCH: '2',
    },
  });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function post(body: unknown) {
  const authorization = `Bearer ${await world.issuer.token('acme')}`;
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify(body),
  });
  return { status: response.status, answer: await response.json() };
}
const data = { fleet: { devices: 2 } };

test('an operation that is known runs by its id, its hash or its text', async () => {
  for (const body of [
    { documentId: 'summary' },
    { extensions: { persistedQuery: { version: 1, sha256Hash: 'summary' } } },
    { query: known },
  ])
    expect(await post(body)).toEqual({ status: 200, answer: { data } });
});

test('any other is FORBIDDEN, also over a WebSocket; an id that is unknown is NOT_FOUND', async () => {
  const other = '{ fleet { devices } }';
  expect(await post({ query: other })).toMatchObject({
    status: 403,
    answer: { errors: [{ extensions: { code: 'FORBIDDEN' } }] },
  });
  const client = await world.socket();
  client.subscribe('q', other);
  expect((await client.error('q'))[0]?.extensions).toEqual({ code: 'FORBIDDEN' });
  expect((await post({ documentId: 'another' })).status).toBe(404);
});

test('a batch is answered in its order, and refused beyond its bound', async () => {
  const { status, answer } = await post([{ documentId: 'summary' }, { documentId: 'another' }]);
  expect(status).toBe(200);
  expect(answer).toMatchObject([{ data }, { errors: [{ extensions: { code: 'NOT_FOUND' } }] }]);
  expect((await post(Array.from({ length: 3 }, () => ({ documentId: 'summary' })))).status).toBe(400);
});
