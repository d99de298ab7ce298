/**
 * Verifies JSON Web Tokens (RFC 7519) against a key set, with `jose`.
 * Required: `iss`, `aud`, `exp`, `sub`, `tenant`, a signature by an asymmetric algorithm of the allow-list.
 */
import { errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { LRUCache } from 'lru-cache';
import { createHash } from 'node:crypto';
import { FleetgraphError } from '../errors.js';
import { isScope, tenantPattern, type Identity, type Scope } from './identity.js';

export type VerifyToken = (token: string) => Promise<Identity>;

const algorithms = ['ES256', 'RS256', 'EdDSA', 'PS256'];
/** A key that the issuer takes back is honoured for this long; key sets are fetched no oftener. */
const rememberedMs = 30_000;
const maxRemembered = 10_000;
const maxGrants = 1_000;
const clockToleranceSeconds = 5;

/**
 * Makes the function that every entrance calls. A token that was good is remembered for half a minute, at most until it
 * expires: one request is verified by the gateway and by each subgraph, and a signature costs more than a small query.
 * The function rejects with FleetgraphError UNAUTHENTICATED for any token that isn't good, UNAVAILABLE when the key set can't be fetched.
 */
export function createTokenVerifier(options: {
  keys: JWTVerifyGetKey;
  issuer: string;
  audience: string;
  /** Names the claim with the labels of `@override` that are on for the caller. */
  overrideLabelsClaim?: string | undefined;
  /**
   * Whether subgraphs may answer by any claim of the token, its subject among them. Default: they look at tenant, scopes and
   * policies alone, as those of this repository do.
   */
  distinguishesCallers?: boolean;
}): VerifyToken {
  const { overrideLabelsClaim, distinguishesCallers = false } = options;
  const remembered = new LRUCache<string, Identity>({ max: maxRemembered, ttl: rememberedMs });
  // Most tokens grant one of a few sets, and each open connection holds the set of its token.
  const grants = new LRUCache<string, ReadonlySet<Scope>>({ max: maxGrants });
  const grantOf = (claim: unknown): ReadonlySet<Scope> => {
    const text = typeof claim === 'string' ? claim : '';
    const known = grants.get(text) ?? new Set(text.split(' ').filter(isScope));
    grants.set(text, known);
    return known;
  };
  return async (token) => {
    const known = remembered.get(token);
    if (known && Date.now() < known.expiresAtMs) return known;
    const identity = await verify(token);
    remembered.set(token, identity);
    return identity;
  };

  async function verify(token: string): Promise<Identity> {
    try {
      const { payload } = await jwtVerify(token, options.keys, {
        issuer: options.issuer,
        audience: options.audience,
        algorithms,
        requiredClaims: ['iss', 'aud', 'exp', 'sub', 'tenant'],
        clockTolerance: clockToleranceSeconds,
      });
      const tenant = payload['tenant'];
      if (typeof tenant !== 'string' || !tenantPattern.test(tenant)) {
        throw new FleetgraphError(
          'UNAUTHENTICATED',
          'The token has no valid claim "tenant". Get one from the issuer of this fleet.',
        );
      }
      return {
        tenant,
        subject: payload.sub ?? '',
        scopes: grantOf(payload['scope']),
        expiresAtMs: (payload.exp ?? 0) * 1_000,
        ...claimsOf(namesIn(payload['scope']), namesIn(payload['policies'])),
        ...overrideLabelsOf(overrideLabelsClaim === undefined ? [] : namesIn(payload[overrideLabelsClaim])),
        ...(distinguishesCallers ? { claimsDigest: digestOf(payload) } : {}),
      };
    } catch (error) {
      if (error instanceof FleetgraphError) throw error;
      if (error instanceof errors.JWTExpired)
        throw new FleetgraphError('UNAUTHENTICATED', 'The token has expired. Get a new one.', { cause: error });
      if (error instanceof errors.JWKSTimeout || (error instanceof TypeError && error.message === 'fetch failed')) {
        throw new FleetgraphError('UNAVAILABLE', "The token issuer can't be reached to verify the token. Try again.", {
          cause: error,
        });
      }
      throw new FleetgraphError(
        'UNAUTHENTICATED',
        'The token is not valid here. Send "Authorization: Bearer <token>" with a token of this issuer.',
        { cause: error },
      );
    }
  }
}

/** Kept only where it says more than our own scopes do: there may be ten thousand tokens. */
function claimsOf(scopes: readonly string[], policies: readonly string[]): Pick<Identity, 'claims'> {
  if (policies.length === 0 && scopes.every(isScope)) return {};
  return { claims: { scopes: new Set(scopes), policies: new Set(policies) } };
}

/** Claims that differ from one token of a caller to the next (RFC 7519, section 4.1). */
const claimsOfOneToken: ReadonlySet<string> = new Set(['exp', 'iat', 'nbf', 'jti']);

function digestOf(payload: JWTPayload): string {
  const claims = Object.entries(payload).filter(([name]) => !claimsOfOneToken.has(name));
  claims.sort(([one], [other]) => (one < other ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(claims)).digest('base64');
}

function overrideLabelsOf(labels: readonly string[]): Pick<Identity, 'overrideLabels'> {
  return labels.length === 0 ? {} : { overrideLabels: new Set(labels) };
}

/** A list, or names with spaces between them as scopes have. */
function namesIn(claim: unknown): readonly string[] {
  if (typeof claim === 'string') return claim.split(' ').filter((name) => name !== '');
  return Array.isArray(claim) ? claim.filter((name) => typeof name === 'string') : [];
}

/** The token of an `Authorization: Bearer …` header (RFC 6750), or undefined. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +([^\s]+)$/i.exec(header ?? '')?.[1];
}
