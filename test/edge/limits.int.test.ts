/** How much of what is let through: requests of one identity, of one address, at once, and bytes. */
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { eventually } from '../world/eventually.js';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startTraefik, type Traefik, type TraefikOptions } from '../world/traefik/traefik.js';
import { send, startBackend, type Backend, type RawAnswer } from './edge-world.js';

const alice = { authorization: 'Bearer acme/alice' };
const bob = { authorization: 'Bearer acme/bob' };
const preflight = { origin: 'http://localhost:5173', 'access-control-request-method': 'POST' };

describe.skipIf(!hasTraefik())('limits', () => {
  async function start(
    options: Partial<TraefikOptions> = {},
  ): Promise<AsyncDisposable & { backend: Backend; traefik: Traefik }> {
    const backend = await startBackend();
    const traefik = await startTraefik({ gateways: [backend.url], ...options });
    return {
      backend,
      traefik,
      async [Symbol.asyncDispose]() {
        await traefik[Symbol.asyncDispose]();
        await backend[Symbol.asyncDispose]();
      },
    };
  }
  /** Asks, ten at a time, until the answer is 429; gives how many were let through before. */
  async function exhaust(ask: () => Promise<RawAnswer>): Promise<{ passed: number; refusal: RawAnswer }> {
    for (let passed = 0; passed < 3_000;) {
      const answers = await Promise.all(Array.from({ length: 10 }, ask));
      passed += answers.filter(({ status }) => status === 200).length;
      const refusal = answers.find(({ status }) => status !== 200);
      if (refusal) return { passed, refusal };
    }
    return expect.unreachable('3,000 requests were let through');
  }

  test('an identity past its rate hears 429 and when to come again, then is served again; others are not held up', async () => {
    await using world = await start({
      replace: {
        '$requestsPerSecond := 100': '$requestsPerSecond := 5',
        '$requestsAtOnce := 200': '$requestsAtOnce := 40',
      },
    });
    const ask = (headers: Record<string, string>) => send(world.traefik.url, '/graphql', { method: 'POST', headers });
    const { passed, refusal } = await exhaust(() => ask(alice));
    expect(passed).toBeGreaterThanOrEqual(40);
    expect(refusal.status).toBe(429);
    expect(Number(refusal.headers['retry-after'])).toBeGreaterThan(0);
    expect((await ask(bob)).status, 'of the same tenant and address').toBe(200);
    await eventually(async () => expect((await ask(alice)).status).toBe(200));
  });

  test('a flood without a good token counts for nobody', async () => {
    await using world = await start({ replace: { '$requestsAtOnce := 200': '$requestsAtOnce := 20' } });
    for (let round = 0; round < 10; round++)
      await Promise.all(
        Array.from({ length: 10 }, () =>
          send(world.traefik.url, '/graphql', {
            headers: { 'x-auth-client': 'acme/alice', authorization: 'Bearer no' },
          }),
        ),
      );
    expect((await send(world.traefik.url, '/graphql', { headers: alice })).status).toBe(200);
  });

  test('an address has a limit of its own, before any token is verified', async () => {
    await using world = await start({
      replace: {
        '$addressPerSecond := 500': '$addressPerSecond := 2',
        '$addressAtOnce := 1000': '$addressAtOnce := 50',
      },
    });
    const { passed, refusal } = await exhaust(() =>
      send(world.traefik.url, '/graphql', { method: 'OPTIONS', headers: preflight }),
    );
    expect(passed).toBeGreaterThanOrEqual(50);
    expect(refusal.status).toBe(429);
    await eventually(async () =>
      expect((await send(world.traefik.url, '/graphql', { method: 'OPTIONS', headers: preflight })).status).toBe(200),
    );
  });

  test('passwords of devices are tried at a lower rate, whatever the client says of its address', async () => {
    await using world = await start({
      replace: { '$devicePerSecond := 50': '$devicePerSecond := 1', '$deviceAtOnce := 100': '$deviceAtOnce := 20' },
    });
    let address = 0;
    const { passed, refusal } = await exhaust(() =>
      send(world.traefik.url, '/ingest/v1/telemetry', {
        method: 'POST',
        headers: {
          authorization: 'Basic eDp5',
          'x-forwarded-for': `203.0.113.${address++ % 250}`,
          'x-real-ip': '10.1.1.1',
        },
      }),
    );
    expect(passed).toBeLessThan(60);
    expect(refusal.status).toBe(429);
    expect((await send(world.traefik.url, '/ingest/v1/telemetry', { method: 'POST', headers: alice })).status).toBe(
      200,
    );
  });

  test('behind a load balancer each of its clients is an address, and only the balancer says which', async () => {
    await using world = await start({
      file: 'traefik.behind-proxy.yml',
      trust: ['127.0.0.1/32'],
      environment: { PROXIES_IN_FRONT: '1' },
      replace: {
        '$addressPerSecond := 500': '$addressPerSecond := 1',
        '$addressAtOnce := 1000': '$addressAtOnce := 20',
      },
    });
    let claimed = 0;
    // The balancer adds the address that it heard to what the client had written.
    const from = (address: string) => () =>
      send(world.traefik.url, '/graphql', {
        method: 'OPTIONS',
        headers: {
          ...preflight,
          'x-forwarded-for': `198.51.100.${claimed++ % 250}, ${address}`,
          'x-forwarded-proto': 'https',
        },
      });
    const { passed } = await exhaust(from('203.0.113.1'));
    expect(passed).toBeLessThan(60);
    const other = await from('203.0.113.2')();
    expect(other.status).toBe(200);
    expect(other.headers['strict-transport-security']).toBe('max-age=31536000');
  });

  test('an identity has only so many requests under way; when they are answered the next is taken', async () => {
    await using world = await start({ replace: { '$inFlight := 50': '$inFlight := 5' } });
    const held: (() => void)[] = [];
    world.backend.handle = ({ response }) => held.push(() => void response.end('done'));
    const ask = (headers: Record<string, string>) => send(world.traefik.url, '/graphql', { method: 'POST', headers });
    const waiting = Array.from({ length: 5 }, () => ask(alice));
    await eventually(() => expect(held).toHaveLength(5));
    expect((await ask(alice)).status).toBe(429);
    const others = ask(bob);
    await eventually(() => expect(held).toHaveLength(6));
    for (const release of held) release();
    expect((await Promise.all([...waiting, others])).map(({ status }) => status)).toEqual(Array(6).fill(200));
    world.backend.handle = ({ response }) => void response.end('done');
    await eventually(async () => expect((await ask(alice)).status).toBe(200));
  });

  test('a body past the limit is refused with 413 and reaches nobody, whether it says how long it is or not', async () => {
    await using world = await start();
    const size = 4_194_304;
    for (const [path, headers] of [
      ['/graphql', alice],
      ['/ingest/v1/telemetry', alice],
      ['/ingest/v1/telemetry', { authorization: 'Basic eDp5' }],
    ] as const) {
      world.backend.arrived.length = 0;
      const answer = await send(world.traefik.url, path, {
        method: 'POST',
        headers,
        body: Buffer.alloc(size + 1, 'x'),
      });
      expect(answer.status).toBe(413);
      const chunks = Readable.from(Array.from({ length: 65 }, () => Buffer.alloc(65_536, 'x')));
      const chunked = await fetch(`${world.traefik.url}${path}`, {
        method: 'POST',
        headers,
        body: Readable.toWeb(chunks),
        duplex: 'half',
      });
      expect(chunked.status).toBe(413);
      expect(world.backend.arrived).toEqual([]);
      expect(
        (await send(world.traefik.url, path, { method: 'POST', headers, body: Buffer.alloc(size, 'x') })).status,
      ).toBe(200);
    }
  });

  test('headers past the limit are refused with 431', async () => {
    await using world = await start();
    const { status } = await send(world.traefik.url, '/graphql', {
      headers: { ...alice, 'x-long': 'x'.repeat(40_000) },
    });
    expect(status).toBe(431);
    expect(world.backend.arrived).toEqual([]);
  });
});
