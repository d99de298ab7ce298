/** Who a request comes from is said by ForwardAuth alone; what a client says of it reaches no role, however it is spelled. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startTraefik, type Traefik } from '../world/traefik/traefik.js';
import { send, startBackend, type Backend } from './edge-world.js';

const handshake = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
};
const preflight = { origin: 'http://localhost:5173', 'access-control-request-method': 'POST' };

/** Every way in, with what it needs. */
const ways: readonly (readonly [string, string, string, Readonly<Record<string, string>>])[] = [
  ['POST', '/graphql', 'with a token', { authorization: 'Bearer acme/alice' }],
  ['POST', '/ingest/v1/telemetry', 'with a token', { authorization: 'Bearer acme/alice' }],
  ['POST', '/ingest/v1/telemetry', 'as a device', { authorization: 'Basic ZGV2aWNlOnNlY3JldA==' }],
  ['GET', '/explorer/', 'as anyone', {}],
  ['OPTIONS', '/graphql', 'before a request of a browser', preflight],
  ['GET', '/graphql', 'for a socket', handshake],
];

const forged = [
  ...['X-Auth-Tenant', 'X-AUTH-TENANT', 'x_auth_tenant', 'X_Auth-Tenant', 'X-Auth_Tenant', 'X_AUTH_TENANT'],
  ...['X-Auth-Subject', 'X_Auth_Subject', 'X-Auth-Scope', 'X_Auth_Scope', 'X-Auth-Client', 'X_Auth_Client'],
].flatMap((name) => [name, 'forged']);

describe.skipIf(!hasTraefik())('headers', () => {
  let backend: Backend;
  let traefik: Traefik;
  beforeAll(async () => {
    backend = await startBackend();
    traefik = await startTraefik({ gateways: [backend.url] });
  });
  afterAll(async () => {
    await traefik?.[Symbol.asyncDispose]();
    await backend?.[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    backend.arrived.length = 0;
  });
  const arrival = () => {
    expect(backend.arrived).toHaveLength(1);
    return backend.arrived[0] ?? expect.unreachable();
  };

  test.each(ways)('%s %s %s carries nothing of a forged identity', async (method, path, _how, headers) => {
    await send(traefik.url, path, { method, headers, rawHeaders: forged });
    const { rawHeaders } = arrival();
    expect(rawHeaders.filter((text) => text.includes('forged'))).toEqual([]);
    expect(rawHeaders.filter((name) => name.includes('_'))).toEqual([]);
  });

  test('the verified identity arrives, each part of it once', async () => {
    await send(traefik.url, '/graphql', {
      method: 'POST',
      headers: { authorization: 'Bearer acme/alice' },
      rawHeaders: forged,
    });
    const names = arrival().rawHeaders.map((text) => text.toLowerCase());
    expect(names.filter((name) => name.startsWith('x-auth-')).sort()).toEqual([
      'x-auth-client',
      'x-auth-scope',
      'x-auth-subject',
      'x-auth-tenant',
    ]);
    expect(arrival().headers).toMatchObject({ 'x-auth-tenant': 'acme', 'x-auth-client': 'acme/alice' });
  });

  test('no client can have the identity taken away on the last stretch', async () => {
    await send(traefik.url, '/graphql', {
      method: 'POST',
      headers: { authorization: 'Bearer acme/alice', connection: 'close, X-Auth-Tenant, X-Auth-Client, Authorization' },
    });
    // Authorization was named as belonging to the first stretch: without it nobody is let in at all.
    expect(backend.arrived).toEqual([]);
    await send(traefik.url, '/graphql', {
      method: 'POST',
      headers: { authorization: 'Bearer acme/alice', connection: 'close, X-Auth-Tenant, X-Auth-Client' },
    });
    expect(arrival().headers).toMatchObject({ 'x-auth-tenant': 'acme', 'x-auth-client': 'acme/alice' });
  });

  test('of two tokens the one that is checked is the one that arrives', async () => {
    for (const [first, second] of [
      ['Bearer acme/alice', 'Bearer other/bob'],
      ['Bearer other/bob', 'Bearer acme/alice'],
    ] as const) {
      backend.arrived.length = 0;
      await send(traefik.url, '/graphql', {
        method: 'POST',
        rawHeaders: ['Authorization', first, 'Authorization', second],
      });
      const { headers } = arrival();
      expect(`Bearer ${String(headers['x-auth-client'])}`).toBe(headers.authorization);
    }
  });

  test('what a client says of where it comes from is dropped', async () => {
    await send(traefik.url, '/graphql', {
      method: 'POST',
      headers: {
        authorization: 'Bearer acme/alice',
        'x-forwarded-for': '203.0.113.9',
        'x-real-ip': '203.0.113.9',
        'x-forwarded-host': 'evil.test',
        'x-forwarded-proto': 'https',
        x_forwarded_for: '203.0.113.9',
      },
    });
    expect(arrival().headers).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-real-ip': '127.0.0.1',
      'x-forwarded-proto': 'http',
    });
    expect(JSON.stringify(arrival().rawHeaders)).not.toMatch(/203\.0\.113\.9|evil\.test/);
  });

  test('the access log names client, route and status, and holds no token, password or variable', async () => {
    await send(traefik.url, '/graphql?query=q&variables=secret-variable', {
      headers: { authorization: 'Bearer acme/carol', cookie: 'session=secret-cookie', 'user-agent': 'tester/1' },
    });
    await send(traefik.url, '/ingest/v1/rejected', { headers: { authorization: 'Basic c2VjcmV0LWRldmljZTpwdw==' } });
    await expect
      .poll(() => traefik.requests().find(({ ClientUsername }) => ClientUsername === 'acme/carol'))
      .toMatchObject({
        RequestPath: '/graphql',
        DownstreamStatus: 200,
        'request_User-Agent': 'tester/1',
      });
    expect(traefik.log()).not.toMatch(/secret-variable|secret-cookie|Bearer|Basic|c2VjcmV0/);
  });
});
