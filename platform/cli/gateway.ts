/**
 * `fleetgraph gateway`: the gateway alone, in front of any subgraphs, from the supergraph that they compose to. No database, no
 * bus. Who calls is asked if JWKS_URL says whose tokens are good; else anyone may call, and the subgraphs decide by what they
 * are sent along.
 */
import { createRemoteJWKSet } from 'jose';
import { createGatewayRole } from '../../gateway/gateway.js';
import { supergraphFile } from '../../gateway/supergraph/supergraph-source.js';
import { readConfig } from '../config/config.js';
import { createTokenVerifier } from '../identity/verify-token.js';
import { createHost } from '../lifecycle/host.js';
import { createLogger } from '../observability/logger.js';
import { createMetrics } from '../observability/metrics.js';
import { startTracing } from '../observability/trace-context.js';
import { awaitStopSignal } from './stop-signal.js';

/** Runs until SIGINT or SIGTERM, then drains and resolves. SIGHUP looks for a new supergraph at once. */
export async function gateway(options: { supergraph: string; port?: number }): Promise<void> {
  startTracing();
  const config = readConfig();
  const log = createLogger({ level: config.logLevel, pretty: process.stdout.isTTY && config.mode !== 'production' });
  const { stopped, hasCome } = awaitStopSignal(log);
  const file = supergraphFile(options.supergraph, { log });
  const reload = (): void => file.reload();
  process.on('SIGHUP', reload);
  const { jwksUrl, issuer, audience } = config.identity;
  const role = createGatewayRole({
    // The explorer's examples are about fleets.
    config: { ...config, explorer: false, ports: { ...config.ports, gateway: options.port ?? config.ports.gateway } },
    log,
    metrics: createMetrics({ processMetrics: true }),
    supergraph: file,
    drainMs: config.gatewayDrainMs,
    ...(jwksUrl === undefined
      ? {}
      : {
          verifyToken: createTokenVerifier({
            keys: createRemoteJWKSet(new URL(jwksUrl), { timeoutDuration: 5_000 }),
            ...{ issuer, audience },
          }),
        }),
  });
  const host = createHost({ roles: [role], log, shutdownTimeoutMs: config.shutdownTimeoutMs });
  await host.start();
  try {
    if (!hasCome()) {
      console.log(`The graph of ${options.supergraph} is at http://${config.host}:${role.port()}/graphql`);
      await stopped;
    }
  } finally {
    await host.stop();
    process.off('SIGHUP', reload);
    log.info('stopped');
  }
}
