/** `fleetgraph gateway`: the gateway alone, in front of any subgraphs. No database, no bus. */
import type { RunningSubgraph } from '../gateway/supergraph/composed-supergraph.js';
import { readConfig } from '../platform/config/config.js';
import { StartupError } from '../platform/errors.js';
import { createHost } from '../platform/lifecycle/host.js';
import { createLogger } from '../platform/observability/logger.js';
import { createMetrics } from '../platform/observability/metrics.js';
import { startTracing } from '../platform/observability/tracing.js';
import { createStandaloneWorkers } from './gateway-workers.js';
import { createStandaloneGateway } from './standalone-gateway.js';
import { awaitStopSignal } from './stop-signal.js';

/** Runs until SIGINT or SIGTERM, then drains and resolves. SIGHUP looks for a new supergraph at once. */
export async function gateway(options: {
  /** Path of a file. This or `subgraph`. */
  supergraph?: string;
  /** Subgraphs to compose it of. */
  subgraph?: readonly RunningSubgraph[];
  port?: number;
}): Promise<void> {
  const settings = readConfig();
  const config = { ...settings, ports: { ...settings.ports, gateway: options.port ?? settings.ports.gateway } };
  const tracing = await startTracing(config.tracing);
  const log = createLogger({ level: config.logLevel, pretty: process.stdout.isTTY && config.mode !== 'production' });
  const { stopped, hasCome } = awaitStopSignal(log);
  const { supergraph, subgraph: subgraphs = [] } = options;
  if ((supergraph === undefined) === (subgraphs.length === 0))
    throw new StartupError('Say either --supergraph <file> or, once for each subgraph, --subgraph <name=url>.');
  if (config.graph.overrides.claim !== undefined && config.identity.jwksUrl === undefined)
    throw new StartupError('GATEWAY_OVERRIDE_LABELS_CLAIM needs JWKS_URL: without it no token is verified.');
  const base = { config, log, metrics: createMetrics({ processMetrics: true }) };
  const graph = { supergraph, subgraphs };
  const workers = config.gatewayWorkers > 1 ? createStandaloneWorkers(base, graph) : undefined;
  const { role, reload } = workers
    ? { role: workers, reload: workers.reload }
    : createStandaloneGateway({ ...base, graph });
  process.on('SIGHUP', reload);
  const host = createHost({ roles: [role], log, shutdownTimeoutMs: config.shutdownTimeoutMs });
  // Whoever stops it while it starts is not told what did not start.
  await host.start().catch((error: unknown) => {
    if (!hasCome()) throw error;
  });
  try {
    if (!hasCome()) {
      console.log(
        `The graph of ${supergraph ?? subgraphs.map(({ name }) => name).join(', ')} is at http://${config.host}:${role.port()}/graphql`,
      );
      await Promise.race([stopped, ...(workers ? [workers.failed] : [])]);
    }
  } finally {
    await host.stop();
    process.off('SIGHUP', reload);
    await tracing.stop();
    log.info('stopped');
  }
}
