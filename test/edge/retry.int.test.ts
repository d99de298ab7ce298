/** What is sent again when a backend breaks off, and when nothing more is sent at all. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startTraefik } from '../world/traefik/traefik.js';
import { send, startBackend } from './edge-world.js';

const headers = { authorization: 'Bearer acme/alice' };

describe.skipIf(!hasTraefik())('retry and circuit breaker', () => {
  test('a query that is broken off is asked again; a mutation never is', async () => {
    await using backend = await startBackend();
    await using traefik = await startTraefik({ gateways: [backend.url] });
    backend.handle = ({ arrived, request, response }) => {
      if (backend.arrived.filter(({ url }) => url === arrived.url).length === 1) request.socket.destroy();
      else response.end('second time');
    };
    expect(await send(traefik.url, '/graphql?query=a', { headers })).toMatchObject({
      status: 200,
      body: 'second time',
    });
    const mutation = await send(traefik.url, '/graphql?m', { method: 'POST', headers, body: 'm' });
    expect(mutation.status).toBe(502);
    expect(backend.arrived.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET /graphql?query=a',
      'GET /graphql?query=a',
      'POST /graphql?m',
    ]);
  });

  test('what reaches no backend is sent to another one, a mutation too', async () => {
    await using backend = await startBackend();
    const gone = await startBackend();
    await using traefik = await startTraefik({
      gateways: [backend.url, gone.url],
      // As long as the test lasts the health check does not help.
      replace: { 'interval: 2s': 'interval: 60s', 'unhealthyInterval: 1s': 'unhealthyInterval: 60s' },
    });
    await gone[Symbol.asyncDispose]();
    for (let turn = 0; turn < 20; turn++)
      expect((await send(traefik.url, '/graphql', { method: 'POST', headers, body: 'm' })).status).toBe(200);
    expect(backend.arrived).toHaveLength(20);
  });

  test('a backend that breaks most requests off is left alone for a while, then tried again', async () => {
    await using backend = await startBackend();
    await using traefik = await startTraefik({ gateways: [backend.url] });
    const ask = async () => (await send(traefik.url, '/graphql', { method: 'POST', headers, body: 'm' })).status;
    backend.handle = ({ request }) => void request.socket.destroy();
    await eventually(async () => expect(await ask()).toBe(503));
    const reached = backend.arrived.length;
    for (let turn = 0; turn < 10; turn++) expect(await ask()).toBe(503);
    expect(backend.arrived).toHaveLength(reached);
    backend.handle = ({ response }) => void response.end('well again');
    await eventually(async () => expect(await ask()).toBe(200));
  }, 40_000);

  test('errors that a backend answers with do not count: a client can not shut others out with them', async () => {
    await using backend = await startBackend();
    await using traefik = await startTraefik({ gateways: [backend.url] });
    backend.handle = ({ response }) => void response.writeHead(500).end('{"errors":[]}');
    for (let turn = 0; turn < 100; turn++)
      expect((await send(traefik.url, '/graphql', { method: 'POST', headers, body: 'm' })).status).toBe(500);
    expect(backend.arrived).toHaveLength(100);
  });
});
