import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDevelopmentIssuer, type DevelopmentIssuer } from '../../platform/identity/development-issuer.js';
import { allScopes, type Scope } from '../../platform/identity/identity.js';
import { createTokenVerifier, type VerifyToken } from '../../platform/identity/verify-token.js';

export interface TestIssuer {
  readonly issuer: DevelopmentIssuer;
  readonly verifyToken: VerifyToken;
  /** A token of `tenant`, with all scopes unless some are named. */
  token(tenant: string, scopes?: readonly Scope[], lifetimeSeconds?: number): Promise<string>;
}

/** An issuer with a key of its own. */
export async function createTestIssuer(): Promise<TestIssuer> {
  const names = { issuer: 'https://issuer.test', audience: 'fleetgraph' };
  const dataDirectory = await mkdtemp(join(tmpdir(), 'fleetgraph-issuer-'));
  const issuer = await openDevelopmentIssuer({ dataDirectory, ...names });
  await rm(dataDirectory, { recursive: true });
  return {
    issuer,
    verifyToken: createTokenVerifier({ keys: issuer.keys, ...names }),
    token: (tenant, scopes = allScopes, lifetimeSeconds = 3_600) =>
      issuer.issue({ tenant, subject: 'tester', scopes, lifetimeSeconds }),
  };
}
