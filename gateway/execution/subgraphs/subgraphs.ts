/** The subgraphs of a gateway by their names in the supergraph: each in this process where it runs here, else over HTTP. */
import type { ExecuteLocally } from '../../../platform/graphql/local-execution.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import type { GatewayMetrics } from '../../gateway-metrics.js';
import type { HttpSubgraph } from './http-subgraph.js';
import { createInProcessSubgraph } from './in-process-subgraph.js';
import { createRequestDeduplication, type RequestDeduplication } from './request-deduplication.js';
import { createMovingSubgraph } from './moving-subgraph.js';
import type { Subgraph, Subgraphs } from './subgraph.js';

export interface RunningSubgraphs extends Subgraphs {
  /** What is asked for at the moment; undefined if nothing is shared. */
  readonly deduplication: RequestDeduplication | undefined;
  readonly close: () => Promise<void>;
}

const defaultTimeoutMs = 15_000;

export function createSubgraphs(options: {
  /** Address of each, asked for at each fetch: a new supergraph may have it elsewhere. */
  readonly urls: Readonly<Record<string, () => string>>;
  /** Those that run in this process, by the same names: they are asked without HTTP. */
  readonly local?: Readonly<Record<string, ExecuteLocally>>;
  readonly metrics: Pick<GatewayMetrics, 'fetchSeconds'>;
  readonly log: Logger;
  /** Milliseconds that a subgraph has to answer (default 15,000). */
  readonly timeoutMs?: number;
  /** Of those that have another one, by their names. */
  readonly timeoutsMs?: Readonly<Record<string, number>>;
  /** Whether they are asked to compress what they answer (default: false). */
  readonly compresses?: boolean;
  /** Whether those who ask for the same at the same time share the answer (default: true). */
  readonly shares?: boolean;
}): RunningSubgraphs {
  const { urls, metrics, log, timeoutsMs = {} } = options;
  const outages = createOutageLog({ log, event: 'subgraph does not answer' });
  const deduplication = options.shares === false ? undefined : createRequestDeduplication();
  const known = new Map<string, Subgraph>();
  const overHttp: HttpSubgraph[] = [];
  return {
    deduplication,
    of(name) {
      const found = known.get(name);
      if (found) return found;
      const timeoutMs = timeoutsMs[name] ?? options.timeoutMs ?? defaultTimeoutMs;
      const execute = options.local?.[name];
      if (execute) {
        const onWritten = (): void => deduplication?.renew();
        const made = createInProcessSubgraph({ name, execute, timeoutMs, metrics, outages, onWritten });
        known.set(name, made);
        return made;
      }
      const url = urls[name];
      if (url === undefined)
        throw new Error(`The supergraph has a subgraph "${name}", whose address the gateway was not given.`);
      const compresses = options.compresses ?? false;
      const made = createMovingSubgraph({ name, url, timeoutMs, compresses, deduplication, metrics, log, outages });
      known.set(name, made);
      overHttp.push(made);
      return made;
    },
    async close() {
      await Promise.all(overHttp.map((subgraph) => subgraph.close()));
    },
  };
}
