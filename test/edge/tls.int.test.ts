/** TLS of its own (traefik.tls.yml): everything is served over it, port 80 only leads there. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { once } from 'node:events';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startTraefik, type Traefik } from '../world/traefik/traefik.js';
import { startGateway, type GatewayWorld } from '../gateway/gateway-world.js';
import { send } from './edge-world.js';

describe.skipIf(!hasTraefik())('TLS', () => {
  let directory: string;
  let ca: string;
  let gateway: GatewayWorld;
  let traefik: Traefik;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fleetgraph-tls-'));
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
        ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', 'tls.key', '-out', 'tls.crt'],
      ],
      { cwd: directory, stdio: 'pipe' },
    );
    ca = await readFile(join(directory, 'tls.crt'), 'utf8');
    gateway = await startGateway();
    traefik = await startTraefik({
      gateways: [gateway.url],
      file: 'traefik.tls.yml',
      replace: { '/etc/traefik/tls/': `${directory}/` },
    });
  });
  afterAll(async () => {
    await traefik?.[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
    if (directory) await rm(directory, { recursive: true });
  });

  test('a query over TLS is answered, and browsers are told to stay with TLS', async () => {
    const authorization = `Bearer ${await gateway.issuer.token('acme')}`;
    const body = JSON.stringify({ query: '{ __typename }' });
    const answer = await new Promise<{ status: number; sts: string | undefined }>((resolve, reject) => {
      request(
        `${traefik.url}/graphql`,
        { ca, method: 'POST', headers: { authorization, 'content-type': 'application/json' } },
        (response) => {
          response.resume();
          resolve({ status: response.statusCode ?? 0, sts: response.headers['strict-transport-security'] });
        },
      )
        .on('error', reject)
        .end(body);
    });
    expect(answer).toEqual({ status: 200, sts: 'max-age=31536000' });
  });

  test('a socket opens over TLS', async () => {
    const socket = new WebSocket(`${traefik.url.replace('https', 'wss')}/graphql`, 'graphql-transport-ws', { ca });
    await once(socket, 'open');
    socket.terminate();
  });

  test('without TLS there is nothing but the way to it', async () => {
    const web = traefik.entryPoint('web');
    for (const path of ['/graphql?query=x', '/explorer/', '/metrics', '/ingest/v1/telemetry']) {
      const { status, headers, body } = await send(web, path, { headers: { authorization: 'Bearer x' } });
      expect(status).toBe(301);
      expect(headers.location).toMatch(/^https:\/\/127\.0\.0\.1/);
      expect(body).toBe('Moved Permanently');
    }
    expect((await send(web, '/graphql', { method: 'POST', body: 'x' })).status).toBe(308);
  });

  test('TLS before 1.2 is not spoken', async () => {
    const tryWith = async (maxVersion: 'TLSv1.1' | 'TLSv1.2') => {
      const { hostname, port } = new URL(traefik.url);
      const socket = connect({
        host: hostname,
        port: Number(port),
        ca,
        maxVersion,
        minVersion: maxVersion,
        // OpenSSL would not offer the old ones itself.
        ciphers: 'DEFAULT@SECLEVEL=0',
      });
      return new Promise<string>((resolve) => {
        socket.once('secureConnect', () => resolve(String(socket.getProtocol())));
        socket.once('error', (error: Error) => resolve(error.message));
      }).finally(() => socket.destroy());
    };
    expect(await tryWith('TLSv1.2')).toBe('TLSv1.2');
    expect(await tryWith('TLSv1.1')).toMatch(/alert protocol version/);
  });
});
