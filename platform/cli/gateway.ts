/**
 * `fleetgraph gateway`: the gateway alone, in front of any subgraphs, from the supergraph that they compose to: that of a file, or made
 * of what running subgraphs say of themselves. No database, no bus. Who calls is asked if JWKS_URL says whose tokens are good; else anyone may call, and the subgraphs decide by what they
 * are sent along.
 */
import { createRemoteJWKSet } from 'jose';
import { createGatewayRole } from '../../gateway/gateway.js';
import { composedSupergraph, type RunningSubgraph } from '../../gateway/supergraph/composed-supergraph.js';
import { supergraphFile } from '../../gateway/supergraph/supergraph-source.js';
import { readConfig } from '../config/config.js';
import { StartupError } from '../errors.js';
import { createTokenVerifier } from '../identity/verify-token.js';
import { createHost } from '../lifecycle/host.js';
import { createLogger } from '../observability/logger.js';
import { createMetrics } from '../observability/metrics.js';
import { startTracing } from '../observability/tracing.js';
import { awaitStopSignal } from './stop-signal.js';

/** Runs until SIGINT or SIGTERM, then drains and resolves. SIGHUP looks for a new supergraph at once. */
export async function gateway(options: {
  /** Path of a file. This or `subgraph`. */
  supergraph?: string;
  /** Subgraphs to compose it of. */
  subgraph?: readonly RunningSubgraph[];
  port?: number;
}): Promise<void> {
  const config = readConfig();
  const tracing = await startTracing(config.tracing);
  const log = createLogger({ level: config.logLevel, pretty: process.stdout.isTTY && config.mode !== 'production' });
  const { stopped, hasCome } = awaitStopSignal(log);
  const { supergraph: path, subgraph: subgraphs = [] } = options;
  if ((path === undefined) === (subgraphs.length === 0))
    throw new StartupError('Say either --supergraph <file> or, once for each subgraph, --subgraph <name=url>.');
  const file = path === undefined ? undefined : supergraphFile(path);
  const reload = (): void => file?.reload();
  process.on('SIGHUP', reload);
  const { jwksUrl, issuer, audience } = config.identity;
  const { claim: overrideLabelsClaim } = config.graph.overrides;
  if (overrideLabelsClaim !== undefined && jwksUrl === undefined)
    throw new StartupError('GATEWAY_OVERRIDE_LABELS_CLAIM needs JWKS_URL: without it no token is verified.');
  const role = createGatewayRole({
    // The explorer's examples are about fleets.
    config: { ...config, explorer: false, ports: { ...config.ports, gateway: options.port ?? config.ports.gateway } },
    log,
    metrics: createMetrics({ processMetrics: true }),
    supergraph: file ?? composedSupergraph(subgraphs, { log, patienceMs: config.startupTimeoutMs }),
    drainMs: config.gatewayDrainMs,
    ...(jwksUrl === undefined
      ? {}
      : {
          verifyToken: createTokenVerifier({
            keys: createRemoteJWKSet(new URL(jwksUrl), { timeoutDuration: 5_000 }),
            ...{ issuer, audience, overrideLabelsClaim },
          }),
        }),
  });
  const host = createHost({ roles: [role], log, shutdownTimeoutMs: config.shutdownTimeoutMs });
  await host.start();
  try {
    if (!hasCome()) {
      console.log(
        `The graph of ${path ?? subgraphs.map(({ name }) => name).join(', ')} is at http://${config.host}:${role.port()}/graphql`,
      );
      await stopped;
    }
  } finally {
    await host.stop();
    process.off('SIGHUP', reload);
    await tracing.stop();
    log.info('stopped');
  }
}
