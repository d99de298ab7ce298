/** What docker-compose.yml sets makes one system of seven processes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { createTestIssuer } from '../world/identity.js';
import { roleServices } from './deploy-world.js';
import { startComposeProcesses, type ComposeProcesses } from './compose-processes.js';

let roles: ComposeProcesses;
let token: string;
beforeAll(async () => {
  roles = await startComposeProcesses();
  token = await roles.token();
}, 180_000);
afterAll(() => roles[Symbol.asyncDispose]());

async function request(query: string, variables: object = {}, authorization = `Bearer ${token}`) {
  const response = await fetch(`${roles.gatewayUrl}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()) as {
    data?: Record<string, { device?: { id: string } }>;
    errors?: { extensions: { code: string } }[];
  };
}

test('a token of the gateway opens every subgraph and the bridge, and a reading goes all the way', async () => {
  const { data } = await request(
    'mutation { registerDevice(input: { name: "Boiler", typeId: "generic" }) { device { id } } }',
  );
  const id = data?.['registerDevice']?.device?.id;
  expect(id).toEqual(expect.any(String));
  await eventually(async () => {
    const sent = await fetch(`${roles.bridgeUrl}/ingest/v1/telemetry`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify([{ deviceId: id, ts: Date.now(), values: { temperature: 21.5 } }]),
    });
    expect(sent.status).toBe(200);
  });
  await eventually(async () => {
    const answer = await request(
      'query ($id: ID!) { device(id: $id) { name state { metrics { name value } } commands(first: 1) { edges { node { id } } } } }',
      { id },
    );
    expect(answer).toMatchObject({
      data: { device: { name: 'Boiler', state: { metrics: [{ name: 'temperature', value: 21.5 }] } } },
    });
  });
});

test('a token of anybody else opens nothing', async () => {
  const stranger = await createTestIssuer();
  const { errors, data } = await request(
    '{ devices(first: 1) { totalCount } }',
    {},
    `Bearer ${await stranger.token('acme')}`,
  );
  expect(errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
  expect(data?.['devices']).toBeUndefined();
});

test('told to stop all at once, every role drains and ends well', async () => {
  expect(await roles.terminate()).toEqual(roleServices().map(() => 0));
});
