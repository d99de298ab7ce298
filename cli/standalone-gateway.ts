/**
 * The gateway in front of any subgraphs, from the supergraph that they compose to: that of a file, or made of what running subgraphs
 * say of themselves. Who calls is asked if JWKS_URL says whose tokens are good; else anyone may call, and the subgraphs decide by
 * what they are sent along.
 */
import { createGatewayRole, type GatewayRoleOptions } from '../gateway/gateway.js';
import { composedSupergraph, type RunningSubgraph } from '../gateway/supergraph/composed-supergraph.js';
import { supergraphFile } from '../gateway/supergraph/supergraph-source.js';
import type { ServiceRole } from '../platform/lifecycle/role.js';
import { verifierOfIssuer } from './open-identity.js';

/** Where its supergraph comes from: of the two, one is there. */
export interface StandaloneGraph {
  /** Path of a file. */
  readonly supergraph?: string | undefined;
  /** Subgraphs to compose it of. */
  readonly subgraphs: readonly RunningSubgraph[];
}

export interface StandaloneGateway {
  readonly role: ServiceRole;
  /** Looks for a new supergraph at once. */
  readonly reload: () => void;
}

export function createStandaloneGateway(
  options: Pick<GatewayRoleOptions, 'config' | 'log' | 'metrics' | 'peers'> & { readonly graph: StandaloneGraph },
): StandaloneGateway {
  const { config, log, metrics, peers, graph } = options;
  const file = graph.supergraph === undefined ? undefined : supergraphFile(graph.supergraph);
  const verifyToken = verifierOfIssuer(config, config.graph.sharesWithin === 'caller');
  const role = createGatewayRole({
    // The explorer's examples are about fleets.
    config: { ...config, explorer: false },
    log,
    metrics,
    drainMs: config.gatewayDrainMs,
    ...(peers ? { peers } : {}),
    supergraph: file ?? composedSupergraph(graph.subgraphs, { log, patienceMs: config.startupTimeoutMs }),
    ...(verifyToken ? { verifyToken } : {}),
  });
  return { role, reload: () => file?.reload() };
}
