/** Which request goes where, and that no other goes anywhere. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startTraefik, type Traefik } from '../world/traefik/traefik.js';
import { send, startBackend, type Backend } from './edge-world.js';

const good = { authorization: 'Bearer acme/alice' };

describe.skipIf(!hasTraefik())('routes', () => {
  let gateway: Backend;
  let bridge: Backend;
  let traefik: Traefik;
  beforeAll(async () => {
    gateway = await startBackend('gateway');
    bridge = await startBackend('bridge');
    traefik = await startTraefik({ gateways: [gateway.url], bridges: [bridge.url] });
  });
  afterAll(async () => {
    await traefik?.[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
    await bridge?.[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    gateway.arrived.length = 0;
    bridge.arrived.length = 0;
  });

  test.each([
    ['POST', '/graphql', good, 'gateway'],
    ['GET', '/graphql?query=%7B__typename%7D', good, 'gateway'],
    ['GET', '/explorer', {}, 'gateway'],
    ['GET', '/explorer/', {}, 'gateway'],
    ['HEAD', '/explorer/assets/main.js', {}, 'gateway'],
    ['POST', '/ingest/v1/telemetry', good, 'bridge'],
    ['GET', '/ingest/v1/rejected', good, 'bridge'],
    ['POST', '/ingest/v1/telemetry', { authorization: 'Basic ZGV2aWNlOnNlY3JldA==' }, 'bridge'],
    ['OPTIONS', '/graphql', { origin: 'http://localhost:5173', 'access-control-request-method': 'POST' }, 'gateway'],
  ])('%s %s with %o goes to the %s', async (method, path, headers, backend) => {
    const { status, body } = await send(traefik.url, path, { method, headers });
    expect(status).toBe(200);
    if (method !== 'HEAD') expect(body).toBe(`backend ${backend}`);
    const { arrived } = backend === 'gateway' ? gateway : bridge;
    expect(arrived.map(({ url }) => url)).toEqual([path]);
  });

  test.each([
    '/',
    '/auth/verify',
    '/AUTH/verify',
    '/auth/jwks.json',
    '/auth/development-token',
    '/metrics',
    '/readyz',
    '/healthz',
    '/ping',
    '/api/rawdata',
    '/dashboard/',
    '/mqtt/authenticate',
    '/ingest',
    '/ingestion/v1/telemetry',
    '/graphql/',
    '/graphql/metrics',
    '/GraphQL',
    '/Explorer/',
    '/explorers',
    '//metrics',
    '//auth/verify',
    '/./metrics',
    '/graphql/../metrics',
    '/graphql/../auth/verify',
    '/explorer/../auth/verify',
    '/explorer/../../metrics',
    '/explorer/%2e%2e/auth/verify',
    '/explorer/.%2e/metrics',
    '/explorer/..%2fmetrics',
    '/explorer/..%5cmetrics',
    '/explorer%2f..%2fauth/verify',
    '/ingest/../metrics',
    '/ingest/v1/..//..//readyz',
    '/%61uth/verify',
    '/%6detrics',
    '/graphql%2f..%2fmetrics',
    '/graphql%00/../metrics',
    '/graphql;/../metrics',
    '/graphql%3b/../metrics',
    '/graphql%23/metrics',
    '/graphql%3f/metrics',
    '/graphql%2500',
    '/explorer/..\\metrics',
    'http://elsewhere.test/metrics',
    'http://elsewhere.test/auth/verify',
  ])('%s is not reachable, with a token or without', async (path) => {
    for (const method of ['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'])
      for (const headers of [{}, good, { authorization: 'Basic eDp5' }]) {
        const { status } = await send(traefik.url, path, { method, headers });
        expect([400, 404, 405], `${method} ${status}`).toContain(status);
      }
    expect([...gateway.arrived, ...bridge.arrived]).toEqual([]);
  });

  test.each(['PUT', 'DELETE', 'PATCH', 'TRACE', 'OPTIONS', 'PROPFIND'])(
    '%s is no method of the graph or of ingest',
    async (method) => {
      for (const path of ['/graphql', '/ingest/v1/telemetry'])
        expect((await send(traefik.url, path, { method, headers: good })).status).toBe(404);
      expect([...gateway.arrived, ...bridge.arrived]).toEqual([]);
    },
  );

  test('headers say to browsers what they may not do with an answer', async () => {
    for (const path of ['/graphql?query=x', '/explorer/', '/ingest/v1/rejected']) {
      const { headers } = await send(traefik.url, path, { headers: good });
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
      });
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
      expect(headers['strict-transport-security'], 'over plain HTTP').toBeUndefined();
    }
  });

  test('a long answer is compressed for those who read gzip, a short one for nobody', async () => {
    const encodingOf = async (length: number, accepted: string) => {
      gateway.handle = ({ response }) =>
        void response.writeHead(200, { 'content-type': 'application/json' }).end('x'.repeat(length));
      const { headers } = await send(traefik.url, '/graphql?query=x', {
        headers: { ...good, 'accept-encoding': accepted },
      });
      return headers['content-encoding'];
    };
    expect(await encodingOf(5_000, 'gzip')).toBe('gzip');
    expect(await encodingOf(5_000, 'identity')).toBeUndefined();
    expect(await encodingOf(100, 'gzip')).toBeUndefined();
  });
});
