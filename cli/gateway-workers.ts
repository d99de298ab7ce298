/** The gateway as several processes behind one port (GATEWAY_WORKERS): the settings that the primary process hands to each of them. */
import { createWorkerPool, type WorkerPool } from '../platform/cluster/worker-pool.js';
import type { Config } from '../platform/config/config.js';
import type { Logger } from '../platform/observability/logger.js';
import type { Registry } from '../platform/observability/metrics.js';
import type { StandaloneGraph } from './standalone-gateway.js';

/** What a worker is to run (gateway-worker.ts). */
export interface GatewayTask {
  readonly config: Config;
  /** In front of which subgraphs: our own at these URLs, or any. */
  readonly graph: { readonly own: Readonly<Record<string, string>> } | { readonly any: StandaloneGraph };
}

interface WorkersOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
}

/** Longer than a worker waits for its subgraphs: it says what is missing. */
const startSlackMs = 30_000;

/** The role of a gateway over our own subgraphs, which are asked over HTTP. @param subgraphs URLs, asked for at each start. */
export function createGatewayWorkers(
  options: WorkersOptions,
  subgraphs: Readonly<Record<string, () => string>>,
): WorkerPool {
  return poolOf(options, () => ({
    own: Object.fromEntries(Object.entries(subgraphs).map(([name, url]) => [name, url()])),
  }));
}

/** The role of a gateway in front of any subgraphs. */
export function createStandaloneWorkers(options: WorkersOptions, graph: StandaloneGraph): WorkerPool {
  return poolOf(options, () => ({ any: graph }));
}

function poolOf({ config, log, metrics }: WorkersOptions, graph: () => GatewayTask['graph']): WorkerPool {
  return createWorkerPool<GatewayTask>({
    name: 'gateway',
    workers: config.gatewayWorkers,
    log,
    metrics,
    script: new URL(`./gateway-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
    task: () => ({ config: shareOf(config), graph: graph() }),
    startTimeoutMs: config.startupTimeoutMs + startSlackMs,
    shutdownTimeoutMs: config.shutdownTimeoutMs,
  });
}

/** The settings of one worker: what guards the memory of the machine is divided among them. */
export function shareOf(config: Config): Config {
  const { gatewayWorkers: workers, webSocketLimits, graph } = config;
  return {
    ...config,
    webSocketLimits: { ...webSocketLimits, connections: Math.ceil(webSocketLimits.connections / workers) },
    graph: { ...graph, responseCacheBytes: Math.ceil(graph.responseCacheBytes / workers) },
  };
}
