/**
 * Verifies JSON Web Tokens (RFC 7519) against a key set, with `jose`.
 * Required: `iss`, `aud`, `exp`, `sub`, `tenant`, a signature by an asymmetric algorithm of the allow-list.
 */
import { errors, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { FleetgraphError } from '../errors.js';
import { isScope, tenantPattern, type Identity } from './identity.js';

export type VerifyToken = (token: string) => Promise<Identity>;

const algorithms = ['ES256', 'RS256', 'EdDSA', 'PS256'];

/**
 * Makes the function that every entrance calls.
 * The function rejects with FleetgraphError UNAUTHENTICATED for any token that isn't good, UNAVAILABLE when the key set can't be fetched.
 */
export function createTokenVerifier(options: { keys: JWTVerifyGetKey; issuer: string; audience: string }): VerifyToken {
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, options.keys, {
        issuer: options.issuer,
        audience: options.audience,
        algorithms,
        requiredClaims: ['iss', 'aud', 'exp', 'sub', 'tenant'],
        clockTolerance: 5,
      });
      const tenant = payload['tenant'];
      if (typeof tenant !== 'string' || !tenantPattern.test(tenant)) {
        throw new FleetgraphError(
          'UNAUTHENTICATED',
          'The token has no valid claim "tenant". Get one from the issuer of this fleet.',
        );
      }
      const granted = typeof payload['scope'] === 'string' ? payload['scope'].split(' ') : [];
      return {
        tenant,
        subject: payload.sub ?? '',
        scopes: new Set(granted.filter(isScope)),
        expiresAtMs: (payload.exp ?? 0) * 1_000,
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
  };
}

/** The token of an `Authorization: Bearer …` header (RFC 6750), or undefined. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +([^\s]+)$/i.exec(header ?? '')?.[1];
}
