import { base64url, exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { beforeAll, expect, test, vi } from 'vitest';
import { authorityOf } from '../../platform/identity/identity.js';
import { bearerToken, createTokenVerifier } from '../../platform/identity/verify-token.js';
import { createTestIssuer, type TestIssuer } from '../world/identity.js';

let world: TestIssuer;
beforeAll(async () => {
  world = await createTestIssuer();
});

const unauthenticated = expect.objectContaining({ code: 'UNAUTHENTICATED' }) as Error;

test('a good token gives tenant, subject, scopes and expiry', async () => {
  const identity = await world.verifyToken(await world.token('acme', ['device:read'], 60));
  expect(identity).toMatchObject({ tenant: 'acme', subject: 'tester' });
  expect([...identity.scopes]).toEqual(['device:read']);
  expect(identity.expiresAtMs).toBeGreaterThan(Date.now());
});

test('a token past its expiry is refused', async () => {
  await expect(world.verifyToken(await world.token('acme', [], -60))).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
    message: expect.stringContaining('expired') as string,
  });
});

test('a token whose payload was changed is refused', async () => {
  const [header, payload, signature] = (await world.token('acme')).split('.');
  const claims = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString()) as object;
  const forged = base64url.encode(JSON.stringify({ ...claims, tenant: 'other' }));
  await expect(world.verifyToken(`${header ?? ''}.${forged}.${signature ?? ''}`)).rejects.toThrow(unauthenticated);
});

test('callers are told apart by all that their tokens say, but not by the token, where subgraphs may look at it', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const names = { issuer: 'https://issuer.test', audience: 'fleetgraph' };
  const tokenWith = (more: Record<string, unknown>) =>
    new SignJWT(claims(more)).setProtectedHeader({ alg: 'ES256' }).sign(privateKey);
  const authorities = async (distinguishesCallers: boolean, ...all: Record<string, unknown>[]) => {
    const verify = createTokenVerifier({ keys: async () => publicKey, ...names, distinguishesCallers });
    const identities = await Promise.all(all.map(async (more) => verify(await tokenWith(more))));
    return new Set(identities.map(authorityOf)).size;
  };
  const later = { exp: Math.floor(Date.now() / 1_000) + 999, iat: 5, nbf: 6, jti: 'another' };
  expect(await authorities(true, {}, later)).toBe(1);
  const others = [{}, { sub: 'y' }, { ward: 7 }, { ward: 8 }, { roles: { admin: true } }];
  expect(await authorities(true, ...others)).toBe(others.length);
  expect(await authorities(false, ...others)).toBe(1);
});

/** A token as a stranger would make it, with the claims of a good one. */
function claims(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1_000);
  return { iss: 'https://issuer.test', aud: 'fleetgraph', sub: 'x', tenant: 'acme', exp: now + 60, ...overrides };
}

test('alg "none" is refused', async () => {
  await expect(world.verifyToken(new UnsecuredJWT(claims()).encode())).rejects.toThrow(unauthenticated);
});

test('a token signed with the public key as an HMAC secret is refused', async () => {
  const secret = new TextEncoder().encode(JSON.stringify(world.issuer.jwks.keys[0]));
  const token = await new SignJWT(claims()).setProtectedHeader({ alg: 'HS256' }).sign(secret);
  await expect(world.verifyToken(token)).rejects.toThrow(unauthenticated);
});

test('a token of an unknown key is refused, also when it names a known one', async () => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  await exportJWK(privateKey);
  const kid = world.issuer.jwks.keys[0]?.kid ?? '';
  const token = await new SignJWT(claims()).setProtectedHeader({ alg: 'ES256', kid }).sign(privateKey);
  await expect(world.verifyToken(token)).rejects.toThrow(unauthenticated);
});

test.each([
  ['issuer', { issuer: 'https://elsewhere.test', audience: 'fleetgraph' }],
  ['audience', { issuer: 'https://issuer.test', audience: 'someone-else' }],
])('a token of another %s is refused', async (_what, names) => {
  const elsewhere = createTokenVerifier({ keys: world.issuer.keys, ...names });
  await expect(elsewhere(await world.token('acme'))).rejects.toThrow(unauthenticated);
});

test('a tenant that could reach into other topics or rows can not be issued', async () => {
  for (const tenant of ['', '+', '#', 'a/b', '../x', 'a b', 'x'.repeat(65)]) {
    await expect(world.token(tenant)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  }
});

test('an unknown scope grants nothing', async () => {
  const token = await world.token('acme', ['device:read', 'everything' as 'device:read']);
  expect([...(await world.verifyToken(token)).scopes]).toEqual(['device:read']);
});

test('takes the token out of an Authorization header', () => {
  expect(bearerToken('Bearer abc')).toBe('abc');
  expect(bearerToken('bearer abc')).toBe('abc');
  for (const header of [undefined, '', 'Basic abc', 'Bearer', 'Bearer a b'])
    expect(bearerToken(header)).toBeUndefined();
});

test('a token that was good is looked at anew after half a minute, and refused once it has expired', async () => {
  let asked = 0;
  const verifyToken = createTokenVerifier({
    keys: (header, token) => {
      asked += 1;
      return world.issuer.keys(header, token);
    },
    issuer: 'https://issuer.test',
    audience: 'fleetgraph',
  });
  const token = await world.token('acme', undefined, 60);
  const begin = Date.now();
  vi.useFakeTimers({ toFake: ['Date', 'performance'], now: begin });
  try {
    const first = await verifyToken(token);
    expect(await verifyToken(token)).toEqual(first);
    expect(asked).toBe(1);
    vi.setSystemTime(begin + 31_000);
    vi.advanceTimersByTime(31_000);
    await verifyToken(token);
    expect(asked).toBe(2);
    vi.setSystemTime(begin + 67_000);
    await expect(verifyToken(token)).rejects.toThrow('The token has expired');
    // What was refused is not remembered as good.
    await expect(verifyToken(`${token}x`)).rejects.toThrow(unauthenticated);
  } finally {
    vi.useRealTimers();
  }
});
