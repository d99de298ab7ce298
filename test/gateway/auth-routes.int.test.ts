/** What the gateway offers beside the graph: answers for ForwardAuth, keys, the explorer and its token, health. */
import { request } from 'node:http';
import { createRemoteJWKSet } from 'jose';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addAuthRoutes } from '../../gateway/auth-routes.js';
import { createHttpService } from '../../platform/http/service.js';
import { createTokenVerifier } from '../../platform/identity/verify-token.js';
import { silentLog } from '../world/database.js';
import { freePort } from '../world/free-port.js';
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
  expect(response.status).toBe(204);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'x-auth-tenant': 'acme',
    'x-auth-subject': 'tester',
    'x-auth-scope': 'device:read event:read',
    'x-auth-client': 'acme/tester',
    'cache-control': 'no-store',
  });
});

test('a subject that no header can hold is encoded, not refused', async () => {
  const subject = 'zoë\r\nx-auth-tenant: other/100%';
  const token = await world.issuer.issuer.issue({ tenant: 'acme', subject, scopes: [], lifetimeSeconds: 60 });
  const { status, headers } = await fetch(`${world.url}/auth/verify`, {
    headers: { authorization: `Bearer ${token}` },
  });
  expect(status).toBe(204);
  expect(headers.get('x-auth-tenant')).toBe('acme');
  expect(headers.get('x-auth-client')).toBe(`acme/${headers.get('x-auth-subject')}`);
  expect(decodeURIComponent(headers.get('x-auth-subject') ?? '')).toBe(subject);
});

test('ForwardAuth hears 401 of anything else, with a challenge and an error that GraphQL clients can read', async () => {
  for (const headers of [{}, { authorization: 'Bearer nonsense' }, { authorization: 'Basic YTpi' }]) {
    const response = await fetch(`${world.url}/auth/verify`, { headers });
    expect(response.status).toBe(401);
    const body = (await response.json()) as { errors: { message: string }[] };
    expect(body).toMatchObject({
      error: { code: 'UNAUTHENTICATED' },
      errors: [{ message: expect.stringContaining('Bearer') as string, extensions: { code: 'UNAUTHENTICATED' } }],
    });
    expect(response.headers.get('www-authenticate')).toMatch(
      'authorization' in headers
        ? /^Bearer realm="fleetgraph", error="invalid_token", error_description="[^"]+"$/
        : /^Bearer realm="fleetgraph"$/,
    );
    expect(response.headers.get('x-auth-tenant')).toBeNull();
  }
});

test('while the keys can not be fetched ForwardAuth hears 503, and when to ask again', async () => {
  const nobody = await freePort();
  const verifyToken = createTokenVerifier({
    keys: createRemoteJWKSet(new URL(`http://127.0.0.1:${nobody}/jwks.json`)),
    issuer: 'https://issuer.test',
    audience: 'fleetgraph',
  });
  const app = createHttpService({
    name: 'gateway',
    host: '127.0.0.1',
    port: 0,
    log: silentLog,
    metrics: new Registry(),
    ready: async () => undefined,
  });
  addAuthRoutes(app, { verifyToken });
  const response = await app.inject({
    url: '/auth/verify',
    headers: { authorization: `Bearer ${await world.issuer.token('acme')}` },
  });
  await app.close();
  expect(response.statusCode).toBe(503);
  expect(response.headers['retry-after']).toBe('1');
  expect(response.json()).toMatchObject({ errors: [{ extensions: { code: 'UNAVAILABLE' } }] });
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
