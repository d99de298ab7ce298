/**
 * The token issuer of a development machine: an ES256 key pair kept in the data directory, its public half as a JWKS.
 * Never used when JWKS_URL is set.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  exportJWK,
  generateKeyPair,
  importJWK,
  SignJWT,
  type JSONWebKeySet,
  type JWK,
  type JWTVerifyGetKey,
} from 'jose';
import { codeOf, FleetgraphError, messageOf, StartupError } from '../errors.js';
import { tenantPattern, type Scope } from './identity.js';

export interface DevelopmentIssuer {
  readonly jwks: JSONWebKeySet;
  readonly keys: JWTVerifyGetKey;
  /** A signed token. `lifetimeSeconds` may be negative, for tests of expiry. */
  issue(claims: {
    tenant: string;
    subject: string;
    scopes: readonly Scope[];
    lifetimeSeconds: number;
  }): Promise<string>;
}

/** Opens the issuer in `dataDirectory`, making its key on the first call. */
export async function openDevelopmentIssuer(options: {
  dataDirectory: string;
  issuer: string;
  audience: string;
}): Promise<DevelopmentIssuer> {
  const jwk = await loadOrCreateKey(join(options.dataDirectory, 'issuer', 'private-key.json'));
  const privateKey = await importJWK(jwk, 'ES256');
  const { d: _private, ...publicKey } = jwk;
  const jwks: JSONWebKeySet = { keys: [publicKey] };
  return {
    jwks,
    keys: createLocalJWKSet(jwks),
    async issue({ tenant, subject, scopes, lifetimeSeconds }) {
      if (!tenantPattern.test(tenant))
        throw new FleetgraphError(
          'BAD_USER_INPUT',
          `"${tenant}" can't be a tenant: use letters, digits, "-" and "_", at most 64.`,
          { field: 'tenant' },
        );
      const now = Math.floor(Date.now() / 1_000);
      return new SignJWT({ tenant, scope: scopes.join(' ') })
        .setProtectedHeader({ alg: 'ES256', kid: jwk.kid ?? '' })
        .setIssuer(options.issuer)
        .setAudience(options.audience)
        .setSubject(subject)
        .setIssuedAt(now)
        .setExpirationTime(now + lifetimeSeconds)
        .sign(privateKey);
    },
  };
}

async function loadOrCreateKey(file: string): Promise<JWK> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as JWK;
  } catch (error) {
    if (codeOf(error) !== 'ENOENT')
      throw new StartupError(
        `The key of the development issuer in ${file} can't be read (${messageOf(error)}). Delete it to get a new one.`,
        { cause: error },
      );
  }
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const exported = await exportJWK(privateKey);
  const jwk: JWK = { ...exported, alg: 'ES256', use: 'sig', kid: await calculateJwkThumbprint(exported) };
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  // Written whole beside its place, then linked there: of processes that start at once, one makes the key, and the others
  // never read half of it.
  const draft = `${file}.${randomUUID()}`;
  try {
    await writeFile(draft, JSON.stringify(jwk), { mode: 0o600, flag: 'wx' });
    await link(draft, file);
    return jwk;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return JSON.parse(await readFile(file, 'utf8')) as JWK;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}
