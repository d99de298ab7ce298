/** Nobody comes in without a good token. */
import { generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openDevelopmentIssuer, type DevelopmentIssuer } from '../../platform/identity/development-issuer.js';
import { allScopes } from '../../platform/identity/identity.js';
import { createTokenVerifier } from '../../platform/identity/verify-token.js';
import { openSocket } from '../gateway/protocol-client.js';
import { hasTraefik } from '../world/traefik/traefik-binary.js';
import { send, startBackend, startEdge, type Backend, type EdgeWorld } from './edge-world.js';

const names = { issuer: 'https://issuer.test', audience: 'fleetgraph' };
const claims = { tenant: 'acme', scope: 'device:read telemetry:write' };

describe.skipIf(!hasTraefik())('tokens', () => {
  let edge: EdgeWorld;
  let bridge: Backend;
  /** Sign with one key, so that only the names are wrong with a token of the others. */
  let issuer: DevelopmentIssuer;
  let otherIssuer: DevelopmentIssuer;
  let otherAudience: DevelopmentIssuer;

  beforeAll(async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), 'fleetgraph-issuer-'));
    issuer = await openDevelopmentIssuer({ dataDirectory, ...names });
    otherIssuer = await openDevelopmentIssuer({ dataDirectory, ...names, issuer: 'https://elsewhere.test' });
    otherAudience = await openDevelopmentIssuer({ dataDirectory, ...names, audience: 'something-else' });
    await rm(dataDirectory, { recursive: true });
    bridge = await startBackend('bridge');
    edge = await startEdge({
      bridges: [bridge.url],
      issuer: {
        issuer,
        verifyToken: createTokenVerifier({ keys: issuer.keys, ...names }),
        token: (tenant) => token(issuer, tenant),
      },
    });
  });
  afterAll(async () => {
    await edge?.[Symbol.asyncDispose]();
    await bridge?.[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    bridge.arrived.length = 0;
  });

  const token = async (by = issuer, tenant = 'acme', lifetimeSeconds = 60): Promise<string> =>
    by.issue({ tenant, subject: 'tester', scopes: allScopes, lifetimeSeconds });
  /** With a key that is not the issuer's. */
  const byStranger = async (kid: string): Promise<string> =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid })
      .setIssuer(names.issuer)
      .setAudience(names.audience)
      .setSubject('mallory')
      .setExpirationTime('1h')
      .sign((await generateKeyPair('ES256')).privateKey);
  const unsigned = (): string =>
    new UnsecuredJWT(claims)
      .setIssuer(names.issuer)
      .setAudience(names.audience)
      .setSubject('mallory')
      .setExpirationTime('1h')
      .encode();
  const tampered = async (): Promise<string> => {
    const [header = '', payload = '', signature = ''] = (await token()).split('.');
    const changed = { ...(JSON.parse(Buffer.from(payload, 'base64url').toString()) as object), tenant: 'other' };
    return `${header}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}.${signature}`;
  };
  const ask = (headers: Readonly<Record<string, string>>) =>
    send(edge.url, '/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query: '{ __typename }' }),
    });

  test('a good token is let in, to the graph and to ingest', async () => {
    const authorization = `Bearer ${await token()}`;
    expect(await ask({ authorization })).toMatchObject({
      status: 200,
      body: expect.stringContaining('Query') as string,
    });
    expect((await send(edge.url, '/ingest/v1/rejected', { headers: { authorization } })).body).toBe('backend bridge');
  });

  test.each<[string, () => Promise<string | undefined>]>([
    ['no token', async () => undefined],
    ['an empty one', async () => 'Bearer '],
    ['one of an unknown scheme', async () => `Token ${await token()}`],
    ['one that has expired', async () => `Bearer ${await token(issuer, 'acme', -60)}`],
    ['one of another issuer', async () => `Bearer ${await token(otherIssuer)}`],
    ['one for another audience', async () => `Bearer ${await token(otherAudience)}`],
    ['one without a signature (alg: none)', async () => `Bearer ${unsigned()}`],
    ['one of an unknown key', async () => `Bearer ${await byStranger('unknown')}`],
    ['one that only names the issuer’s key', async () => `Bearer ${await byStranger(issuer.jwks.keys[0]?.kid ?? '')}`],
    ['one with another tenant written into it', async () => `Bearer ${await tampered()}`],
  ])('with %s the answer is 401, readable to clients of GraphQL and of HTTP', async (_what, make) => {
    const authorization = await make();
    // What ForwardAuth would say of them, said by themselves.
    const forged = { 'x-auth-tenant': 'acme', 'x-auth-subject': 'tester', 'x-auth-client': 'acme/tester' };
    const headers = { ...forged, ...(authorization === undefined ? {} : { authorization }) };
    const answer = await ask(headers);
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="fleetgraph"/);
    expect(JSON.parse(answer.body)).toMatchObject({
      errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
      error: { code: 'UNAUTHENTICATED' },
    });
    for (const path of ['/ingest/v1/telemetry', '/ingest/v1/rejected'])
      for (const method of ['GET', 'POST']) expect((await send(edge.url, path, { method, headers })).status).toBe(401);
    expect((await send(edge.url, '/graphql?query=%7B__typename%7D', { headers })).status).toBe(401);
    expect(bridge.arrived).toEqual([]);
  });

  test.each([
    ['without a key', { 'sec-websocket-version': '13' }],
    ['of another version', { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '7' }],
    ['with a key that is none', { 'sec-websocket-key': 'x', 'sec-websocket-version': '13' }],
    ['without Connection', { connection: 'keep-alive', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }],
    ['to another protocol', { upgrade: 'h2c', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }],
    ['to several protocols', { upgrade: 'websocket, h2c', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }],
  ])('a handshake %s gets no answer of the graph', async (_what, headers) => {
    // What a gateway of a development machine tells anyone who gets at it directly.
    const query = '{ __schema { queryType { name } } }';
    for (const method of ['GET', 'POST']) {
      const { status, body } = await send(edge.url, `/graphql?query=${encodeURIComponent(query)}`, {
        method,
        headers: { connection: 'Upgrade', upgrade: 'websocket', 'content-type': 'application/json', ...headers },
        ...(method === 'POST' ? { body: JSON.stringify({ query }) } : {}),
      });
      expect([400, 401, 405], `${method} ${status} ${body}`).toContain(status);
      expect(body).not.toContain('queryType');
    }
  });

  test('a handshake needs no token, and gives nothing before connection_init has brought one', async () => {
    const nobody = await openSocket(`${edge.url}/graphql`, { authorization: `Bearer ${await token(otherIssuer)}` });
    expect(await nobody.closed).toMatchObject({ code: 4403 });
    const silent = await openSocket(`${edge.url}/graphql`, false);
    silent.subscribe('1', '{ __typename }');
    expect(await silent.closed).toMatchObject({ code: 4401 });
    expect([...nobody.frames, ...silent.frames].filter(({ type }) => type === 'next')).toEqual([]);
  });
});
