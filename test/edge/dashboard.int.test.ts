/** What is for those who run the edge: the dashboard behind its login, the ping for whoever starts Traefik. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startTraefik } from '../world/traefik/traefik.js';
import { send, startBackend } from './edge-world.js';

/** As `openssl passwd -apr1` gives it: admin with the password "a-password", viewer with "another". */
const users = 'admin:$apr1$cOkiFhVg$P.vnNOTmtAdaooTRLMsz60,viewer:$apr1$FM8jyUNS$2uyY3V7EpGCPp3rWRkuWC/';
const login = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });

describe.skipIf(!hasTraefik())('dashboard', () => {
  test('it needs a password, and is nowhere else', async () => {
    await using backend = await startBackend();
    await using traefik = await startTraefik({
      gateways: [backend.url],
      environment: { TRAEFIK_DASHBOARD_USERS: users },
    });
    const dashboard = traefik.entryPoint('dashboard');
    for (const path of ['/dashboard/', '/api/rawdata', '/api/http/routers', '/api/overview']) {
      for (const headers of [{}, login('admin:wrong'), login('admin:'), login(':'), login('nobody:a-password')]) {
        const { status, headers: answered } = await send(dashboard, path, { headers });
        expect(status, path).toBe(401);
        expect(answered['www-authenticate']).toMatch(/^Basic/);
      }
      for (const who of ['admin:a-password', 'viewer:another']) {
        const { status } = await send(dashboard, path, { headers: login(who) });
        // A Traefik built from its Go module has no pages, only what they show.
        expect(path === '/dashboard/' ? [200, 404] : [200], path).toContain(status);
        for (const elsewhere of [traefik.url, traefik.entryPoint('internal')])
          expect((await send(elsewhere, path, { headers: login(who) })).status, `${elsewhere}${path}`).toBe(404);
      }
    }
    for (const path of ['/graphql', '/ping', '/auth/verify', '/debug/pprof/', '/metrics'])
      expect((await send(dashboard, path, { headers: login('admin:a-password') })).status, path).toBe(404);
  });

  test('without users there is none', async () => {
    await using backend = await startBackend();
    for (const environment of [{}, { TRAEFIK_DASHBOARD_USERS: '' }]) {
      await using traefik = await startTraefik({ gateways: [backend.url], environment });
      for (const path of ['/dashboard/', '/api/rawdata'])
        expect((await send(traefik.entryPoint('dashboard'), path, { headers: login(':') })).status).toBe(404);
    }
  });

  test('the entry point of this process alone gives ping and verification, nothing more', async () => {
    await using backend = await startBackend();
    await using traefik = await startTraefik({ gateways: [backend.url] });
    const internal = traefik.entryPoint('internal');
    expect(new URL(internal).hostname).toBe('127.0.0.1');
    expect((await send(internal, '/ping')).body).toBe('OK');
    for (const path of [
      '/graphql',
      '/explorer/',
      '/ingest/v1/telemetry',
      '/auth/jwks.json',
      '/metrics',
      '/api/rawdata',
    ])
      expect((await send(internal, path, { headers: { authorization: 'Bearer acme/alice' } })).status, path).toBe(404);
  });

  test('the health check of containers is content while it runs; on SIGTERM it is not, and requests are taken all the same', async () => {
    await using backend = await startBackend();
    await using traefik = await startTraefik({ gateways: [backend.url] });
    await traefik.healthcheck();
    const stopped = traefik.stop();
    await eventually(() => expect(traefik.healthcheck()).rejects.toThrow());
    const headers = { authorization: 'Bearer acme/alice' };
    expect((await send(traefik.url, '/graphql', { method: 'POST', headers })).status).toBe(200);
    await stopped;
    await expect(send(traefik.url, '/graphql', { headers })).rejects.toThrow(/ECONNREFUSED/);
  }, 40_000);

  test('backends that are not set are asked for by name, and nothing is served', async () => {
    await using backend = await startBackend();
    await expect(startTraefik({ gateways: [], bridges: [backend.url] })).rejects.toThrow(/GATEWAY_URLS is not set/);
    await expect(startTraefik({ gateways: [backend.url], bridges: [] })).rejects.toThrow(/BRIDGE_URLS is not set/);
  });
});
