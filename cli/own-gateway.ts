/** The gateway over our own subgraphs, as it runs in the process of the other roles and in a worker. */
import type { GatewayRoleOptions } from '../gateway/gateway.js';
import type { DevelopmentIssuer } from '../platform/identity/development-issuer.js';
import { allScopes } from '../platform/identity/identity.js';
import type { VerifyToken } from '../platform/identity/verify-token.js';
import type { ServiceRole } from '../platform/lifecycle/role.js';

/** Tenant of the tokens and of the sample device that a development machine gets. */
export const developmentTenant = 'acme';

type OwnGatewayOptions = Pick<GatewayRoleOptions, 'config' | 'log' | 'metrics' | 'local' | 'peers'> & {
  readonly verifyToken: VerifyToken;
  /** Absent when tokens come from another issuer. */
  readonly issuer: DevelopmentIssuer | undefined;
  readonly subgraphs: NonNullable<GatewayRoleOptions['subgraphs']>;
};

/** Makes the role. Its code is loaded here: most processes run another. */
export async function createOwnGateway({ issuer, ...options }: OwnGatewayOptions): Promise<ServiceRole> {
  const { createGatewayRole } = await import('../gateway/gateway.js');
  const { config, log, metrics, verifyToken, subgraphs, local, peers } = options;
  return createGatewayRole({
    config,
    log,
    metrics,
    verifyToken,
    subgraphs,
    drainMs: config.gatewayDrainMs,
    ...(local ? { local } : {}),
    ...(peers ? { peers } : {}),
    ...(issuer
      ? {
          jwks: issuer.jwks,
          developmentToken: () =>
            issuer.issue({
              tenant: developmentTenant,
              subject: 'developer',
              scopes: allScopes,
              lifetimeSeconds: 86_400,
            }),
        }
      : {}),
  });
}
