/** What the gateway offers beside the graph: answers for ForwardAuth, keys, the explorer and its token, health. */
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGateway, type GatewayWorld } from './gateway-world.js';

let world: GatewayWorld;
beforeAll(async () => {
  world = await startGateway({ developmentToken: async () => 'a-token', jwks: { keys: [{ kty: 'EC', kid: 'k1' }] } });
});
afterAll(() => world[Symbol.asyncDispose]());

/** Node's fetch does not let a request lie about its Host. */
async function get(path: string, headers: Readonly<Record<string, string>>): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    request(`${world.url}${path}`, { headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    })
      .on('error', reject)
      .end();
  });
}

test('ForwardAuth learns from a good token who it is', async () => {
  const token = await world.issuer.token('acme', ['device:read', 'event:read']);
  const response = await fetch(`${world.url}/auth/verify`, { headers: { authorization: `Bearer ${token}` } });
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'x-auth-tenant': 'acme',
    'x-auth-subject': 'tester',
    'x-auth-scope': 'device:read event:read',
  });
});

test('ForwardAuth hears 401 of anything else', async () => {
  for (const headers of [{}, { authorization: 'Bearer nonsense' }, { authorization: 'Basic YTpi' }]) {
    const response = await fetch(`${world.url}/auth/verify`, { headers });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { code: 'UNAUTHENTICATED' } });
    expect(response.headers.get('x-auth-tenant')).toBeNull();
  }
});

test('the keys of the development issuer are public', async () => {
  expect(await (await fetch(`${world.url}/auth/jwks.json`)).json()).toEqual({ keys: [{ kty: 'EC', kid: 'k1' }] });
});

test('the explorer of this machine gets a token, which no cache keeps', async () => {
  const response = await fetch(`${world.url}/auth/development-token`, { headers: { 'sec-fetch-site': 'same-origin' } });
  expect(await response.json()).toEqual({ token: 'a-token' });
  expect(response.headers.get('cache-control')).toBe('no-store');
});

test.each([
  ['a page of another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
  ['Apollo Sandbox, which may call the graph', { origin: 'https://studio.apollographql.com' }],
  ['a name bound to this machine', { host: 'evil.example' }],
])('%s gets no token', async (_what, headers) => {
  const { status, body } = await get('/auth/development-token', headers);
  expect(status).toBe(403);
  expect(body).not.toContain('a-token');
});

test('no page of another origin may read anything but the graph', async () => {
  for (const path of ['/auth/development-token', '/auth/jwks.json', '/auth/verify', '/readyz']) {
    const response = await fetch(`${world.url}${path}`, { headers: { origin: 'http://localhost:5173' } });
    expect(response.headers.get('access-control-allow-origin'), path).toBeNull();
  }
});

test('without the development issuer there is neither key nor token to be had', async () => {
  await using plain = await startGateway();
  for (const path of ['/auth/jwks.json', '/auth/development-token'])
    expect((await fetch(`${plain.url}${path}`)).status).toBe(404);
});

test('the root leads to the explorer, which is served from here alone', async () => {
  const root = await fetch(world.url, { redirect: 'manual' });
  expect(root.status).toBe(302);
  expect(root.headers.get('location')).toBe('/explorer/');
  const page = await (await fetch(`${world.url}/explorer/`)).text();
  expect(page).toContain('<div id="');
  const sources = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source ?? '');
  expect(sources.length).toBeGreaterThan(0);
  for (const source of sources) {
    expect(source).not.toMatch(/^(https?:)?\/\//);
    expect((await fetch(new URL(source, `${world.url}/explorer/`))).status, source).toBe(200);
  }
});

test('EXPLORER=false leaves it out', async () => {
  await using closed = await startGateway({ settings: { EXPLORER: 'false' } });
  expect((await fetch(`${closed.url}/explorer/`)).status).toBe(404);
});

test('health, readiness and metrics are there', async () => {
  expect((await fetch(`${world.url}/healthz`)).status).toBe(200);
  expect((await fetch(`${world.url}/readyz`)).status).toBe(200);
  expect(await (await fetch(`${world.url}/metrics`)).text()).toContain('fleetgraph_gateway_requests_total');
});
