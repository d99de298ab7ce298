/** Several gateways behind the edge: one dies, one stops in order, and clients should not have to know. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { openDevelopmentIssuer } from '../../platform/identity/development-issuer.js';
import { allScopes } from '../../platform/identity/identity.js';
import { createTokenVerifier } from '../../platform/identity/verify-token.js';
import { startGateway } from '../gateway/gateway-world.js';
import { startSubgraphs } from '../gateway/subgraphs.js';
import { startScript } from '../world/child-process.js';
import { eventually } from '../world/eventually.js';
import type { TestIssuer } from '../world/identity.js';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { startTraefik } from '../world/traefik/traefik.js';
import { startLoad } from './load.js';

/** Until a gateway that is gone, or about to go, is asked no more: interval and timeout of its health check, and some. */
const settledMs = 4_000;
const names = { issuer: 'https://issuer.test', audience: 'fleetgraph' };
const clients = ['ann', 'ben', 'cat', 'dan'];

describe.skipIf(!hasTraefik())('failover', () => {
  const cleanUp: (() => unknown)[] = [];
  afterEach(async () => {
    for (const clean of cleanUp.splice(0).reverse()) await clean();
  });

  async function openIssuer(): Promise<TestIssuer & { dataDirectory: string; tokens: string[] }> {
    const dataDirectory = await mkdtemp(join(tmpdir(), 'fleetgraph-issuer-'));
    cleanUp.push(() => rm(dataDirectory, { recursive: true, force: true }));
    const issuer = await openDevelopmentIssuer({ dataDirectory, ...names });
    const issue = (tenant: string, subject: string) =>
      issuer.issue({ tenant, subject, scopes: allScopes, lifetimeSeconds: 600 });
    return {
      issuer,
      dataDirectory,
      verifyToken: createTokenVerifier({ keys: issuer.keys, ...names }),
      token: (tenant) => issue(tenant, 'tester'),
      tokens: await Promise.all(clients.map((client) => issue('acme', client))),
    };
  }
  /** The gateways that answered since a moment, by their addresses. */
  const answeredBy = (traefik: Awaited<ReturnType<typeof startTraefik>>, from: number) =>
    new Set(
      traefik
        .requests()
        .slice(from)
        .map(({ ServiceAddr }) => `http://${String(ServiceAddr)}`),
    );

  test('a gateway is killed under load: no GET fails, and after its health check nothing does', async () => {
    const issuer = await openIssuer();
    const subgraphs = await startSubgraphs(issuer.verifyToken);
    cleanUp.push(() => subgraphs.stop());
    const gateways = await Promise.all(
      [1, 2].map(async () => {
        const child = await startScript(new URL('gateway-process.ts', import.meta.url), [
          issuer.dataDirectory,
          ...[subgraphs.device.url(), subgraphs.actions.url(), subgraphs.query.url()],
        ]);
        cleanUp.push(() => child.kill());
        return { kill: () => child.kill(), url: `http://127.0.0.1:${child.output().trim()}` };
      }),
    );
    const [victim, survivor] = gateways;
    if (!victim || !survivor) return expect.unreachable();
    const traefik = await startTraefik({ gateways: gateways.map(({ url }) => url) });
    cleanUp.push(() => traefik[Symbol.asyncDispose]());

    const load = startLoad(traefik.url, issuer.tokens);
    cleanUp.push(() => load.stop());
    await eventually(() => expect(answeredBy(traefik, 0)).toEqual(new Set([victim.url, survivor.url])));
    await victim.kill();
    const killedAt = Date.now();
    const settled = () => load.heard.filter(({ askedAt }) => askedAt > killedAt + settledMs);
    await eventually(() => expect(settled().length).toBeGreaterThan(100));
    const before = traefik.requests().length;
    await eventually(() => expect(traefik.requests().length).toBeGreaterThan(before + 50));
    expect(answeredBy(traefik, before)).toEqual(new Set([survivor.url]));

    const failed = (await load.stop()).filter(({ status }) => status !== 200);
    expect(failed.filter(({ method }) => method === 'GET')).toEqual([]);
    expect(failed.filter(({ askedAt }) => askedAt > killedAt + settledMs)).toEqual([]);
    // Those that had reached the gateway may have changed something: they are not sent twice. One for each client at most.
    expect(failed.length).toBeLessThanOrEqual(clients.length);
  }, 60_000);

  test('a gateway that stops in order fails no request, and its sockets say where it goes (1001)', async () => {
    const issuer = await openIssuer();
    const first = await startGateway({ issuer, drainMs: settledMs });
    const second = await startGateway({ issuer });
    cleanUp.push(
      () => first[Symbol.asyncDispose](),
      () => second[Symbol.asyncDispose](),
    );
    const traefik = await startTraefik({ gateways: [first.url, second.url] });
    cleanUp.push(() => traefik[Symbol.asyncDispose]());
    const socket = await first.socket();

    const load = startLoad(traefik.url, issuer.tokens);
    cleanUp.push(() => load.stop());
    await eventually(() => expect(answeredBy(traefik, 0)).toEqual(new Set([first.url, second.url])));
    const stopped = first.gateway.stop();
    expect((await fetch(`${first.url}/readyz`)).status).toBe(503);
    expect(socket.socket.readyState, 'open while it drains').toBe(socket.socket.OPEN);
    await stopped;
    expect((await socket.closed).code).toBe(1001);
    const after = load.heard.length;
    await eventually(() => expect(load.heard.length).toBeGreaterThan(after + 100));
    expect((await load.stop()).filter(({ status }) => status !== 200)).toEqual([]);
  }, 60_000);

  test('with no gateway the answer is 503 at once, and all is well when one comes back', async () => {
    const gateway = await startGateway();
    cleanUp.push(() => gateway[Symbol.asyncDispose]());
    const traefik = await startTraefik({ gateways: [gateway.url] });
    cleanUp.push(() => traefik[Symbol.asyncDispose]());
    const headers = {
      authorization: `Bearer ${await gateway.issuer.token('acme')}`,
      'content-type': 'application/json',
    };
    const ask = async () =>
      (await fetch(`${traefik.url}/graphql`, { method: 'POST', headers, body: '{"query":"{ __typename }"}' })).status;
    expect(await ask()).toBe(200);
    const port = gateway.gateway.port();
    await gateway.gateway.stop();
    await eventually(async () => expect(await ask()).toBe(503));
    const again = await startGateway({ issuer: gateway.issuer, settings: { GATEWAY_PORT: String(port) } });
    cleanUp.push(() => again[Symbol.asyncDispose]());
    await eventually(async () => expect(await ask()).toBe(200));
  }, 60_000);
});
