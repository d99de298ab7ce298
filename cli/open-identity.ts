/** Whose tokens are good: those of the issuer in JWKS_URL, or of the development issuer in the data directory. */
import { createRemoteJWKSet } from 'jose';
import type { Config } from '../platform/config/config.js';
import { openDevelopmentIssuer, type DevelopmentIssuer } from '../platform/identity/development-issuer.js';
import { createTokenVerifier, type VerifyToken } from '../platform/identity/verify-token.js';

export async function openIdentity(
  config: Config,
): Promise<{ readonly verifyToken: VerifyToken; readonly issuer: DevelopmentIssuer | undefined }> {
  const verifyToken = verifierOfIssuer(config);
  if (verifyToken) return { verifyToken, issuer: undefined };
  const { issuer, audience } = config.identity;
  const { claim: overrideLabelsClaim } = config.graph.overrides;
  const development = await openDevelopmentIssuer({ dataDirectory: config.dataDirectory, issuer, audience });
  const { keys } = development;
  return { verifyToken: createTokenVerifier({ keys, issuer, audience, overrideLabelsClaim }), issuer: development };
}

/**
 * @param distinguishesCallers whether subgraphs may answer by any claim of a token
 * @returns undefined without JWKS_URL.
 */
export function verifierOfIssuer({ identity, graph }: Config, distinguishesCallers = false): VerifyToken | undefined {
  const { jwksUrl, issuer, audience } = identity;
  if (jwksUrl === undefined) return undefined;
  return createTokenVerifier({
    keys: createRemoteJWKSet(new URL(jwksUrl), { timeoutDuration: 5_000 }),
    issuer,
    audience,
    overrideLabelsClaim: graph.overrides.claim,
    distinguishesCallers,
  });
}
