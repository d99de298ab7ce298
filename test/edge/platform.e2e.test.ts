/** The whole of fleetgraph behind the edge: what a client does in a day, each step by the public entry point alone. */
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from '../world/eventually.js';
import { startPlatform, type GraphQLResponse, type RegisteredDevice, type TestPlatform } from '../world/platform.js';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startTraefik, type Traefik } from '../world/traefik/traefik.js';
import { send } from './edge-world.js';

interface Registered {
  readonly registerDevice: { device: { id: string }; credentials: RegisteredDevice['credentials'] };
}

describe.skipIf(!hasTraefik())('fleetgraph behind the edge', () => {
  let platform: TestPlatform;
  let traefik: Traefik;
  beforeAll(async () => {
    platform = await startPlatform();
    traefik = await startTraefik({ gateways: [platform.gateway], bridges: [platform.bridge] });
  });
  afterAll(async () => {
    await traefik?.[Symbol.asyncDispose]();
    await platform?.[Symbol.asyncDispose]();
  });

  const ask = async <Data>(query: string, token: string): Promise<GraphQLResponse<Data>> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const { body } = await send(traefik.url, '/graphql', { method: 'POST', headers, body: JSON.stringify({ query }) });
    return JSON.parse(body) as GraphQLResponse<Data>;
  };
  const ingest = async (authorization: string, line: object) => {
    const { status, body } = await send(traefik.url, '/ingest/v1/telemetry', {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(line),
    });
    return { status, body: JSON.parse(body) as { accepted?: number; error?: { code: string } } };
  };

  test('a device is registered, sends readings, and a subscriber sees them', async () => {
    const token = await platform.token('acme');
    const { data } = await ask<Registered>(
      'mutation { registerDevice(input: { name: "Boiler", typeId: "generic" }) { device { id } credentials { username password clientId } } }',
      token,
    );
    const { device, credentials } = data?.registerDevice ?? expect.unreachable();
    const client = createClient({
      url: `${traefik.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${token}` },
      retryAttempts: 0,
    });
    const received: unknown[] = [];
    client.subscribe(
      { query: `subscription { deviceState(deviceId: "${device.id}") { state { metrics { name value } } } }` },
      { next: (result) => received.push(result), error: (error) => received.push(error), complete: () => undefined },
    );
    await eventually(() => expect(received.length).toBeGreaterThan(0));
    const basic = `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
    expect(await ingest(basic, { ts: Date.now(), values: { temperature: 71.5 } })).toMatchObject({
      status: 200,
      body: { accepted: 1 },
    });
    expect(
      await ingest(`Bearer ${token}`, { deviceId: device.id, ts: Date.now(), values: { pressure: 2.5 } }),
    ).toMatchObject({
      status: 200,
      body: { accepted: 1 },
    });
    await eventually(() => {
      expect(JSON.stringify(received)).toContain('71.5');
      expect(JSON.stringify(received)).toContain('2.5');
    });
    await client.dispose();
  });

  test('a wrong password of a device is refused by the bridge, a token without the scope with 403', async () => {
    const { credentials } = await platform.registerDevice();
    const wrong = `Basic ${Buffer.from(`${credentials.username}:wrong`).toString('base64')}`;
    expect(await ingest(wrong, { values: { a: 1 } })).toMatchObject({
      status: 401,
      body: { error: { code: 'UNAUTHENTICATED' } },
    });
    const reader = await platform.token('acme', ['device:read']);
    expect(await ingest(`Bearer ${reader}`, { deviceId: 'x', values: { a: 1 } })).toMatchObject({ status: 403 });
  });

  test('the explorer comes with all its parts, but a development token is for this machine without a proxy', async () => {
    const { status, body } = await send(traefik.url, '/explorer/');
    expect(status).toBe(200);
    const parts = [...body.matchAll(/(?:src|href)="((?!data:)[^"]+)"/g)].map(
      ([, path]) => new URL(path ?? '', `${traefik.url}/explorer/`),
    );
    expect(parts.length).toBeGreaterThan(0);
    for (const { pathname } of parts) expect((await send(traefik.url, pathname)).status, pathname).toBe(200);
    expect((await send(traefik.url, '/auth/development-token')).status).toBe(404);
  });

  test('a page of a local front end may ask, one of another site may not', async () => {
    const preflight = async (origin: string) =>
      send(traefik.url, '/graphql', {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
      });
    const local = await preflight('http://localhost:5173');
    expect(local.status).toBe(204);
    expect(local.headers['access-control-allow-origin']).toBe('http://localhost:5173');
    expect((await preflight('https://evil.test')).headers['access-control-allow-origin']).toBeUndefined();
  });
});
