/**
 * The subgraphs as @apollo/gateway fetches from them: over HTTP, with what must be passed on, and with a deadline. What a
 * subgraph answers is passed on; that it doesn't answer is UNAVAILABLE, with the path of the fetch up to its first list.
 */
import { RemoteGraphQLDataSource, type GraphQLDataSource, type GraphQLDataSourceProcessOptions } from '@apollo/gateway';
import { GraphQLError } from 'graphql';
import { currentTraceparent } from '../../platform/observability/trace-context.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { GatewayMetrics } from '../gateway-metrics.js';
import type { GatewayContext } from '../request-context.js';

export interface SubgraphSources {
  of(name: string): GraphQLDataSource;
}

/** Longer than a subgraph waits for a consistency token (5 s) and PostgreSQL runs a statement for it. */
const defaultTimeoutMs = 15_000;

export function createSubgraphSources(options: {
  urls: Readonly<Record<string, () => string>>;
  metrics: GatewayMetrics;
  log: Logger;
  /** Milliseconds that a subgraph has to answer (default 15,000). */
  timeoutMs?: number;
}): SubgraphSources {
  const sources = new Map<string, GraphQLDataSource>();
  return {
    of(name) {
      const known = sources.get(name);
      if (known) return known;
      const url = options.urls[name];
      if (!url) throw new Error(`The supergraph has a subgraph "${name}", whose address the gateway was not given.`);
      const made = new SubgraphSource(name, url(), options);
      sources.set(name, made);
      return made;
    },
  };
}

class SubgraphSource extends RemoteGraphQLDataSource<GatewayContext> {
  readonly #name: string;
  readonly #metrics: GatewayMetrics;
  readonly #log: Logger;

  constructor(
    name: string,
    url: string,
    { metrics, log, timeoutMs = defaultTimeoutMs }: { metrics: GatewayMetrics; log: Logger; timeoutMs?: number },
  ) {
    super({ url });
    // Apollo's fetcher would wait for ever.
    const unbounded = this.fetcher;
    this.fetcher = (address, init) => unbounded(address, { ...init, signal: AbortSignal.timeout(timeoutMs) });
    this.#name = name;
    this.#metrics = metrics;
    this.#log = log;
  }

  override async process(request: GraphQLDataSourceProcessOptions<GatewayContext>) {
    const endTimer = this.#metrics.fetchSeconds.startTimer({ subgraph: this.#name });
    try {
      return await super.process(request);
    } catch (error) {
      const path = pathOf(request);
      // An error that the subgraph answered with has its code; what has none didn't get an answer.
      const code = error instanceof GraphQLError ? error.extensions['code'] : undefined;
      if (error instanceof GraphQLError && typeof code === 'string' && code !== 'INTERNAL_SERVER_ERROR')
        throw new GraphQLError(error.message, { path, extensions: error.extensions });
      this.#log.warn({ subgraph: this.#name, err: error }, 'subgraph does not answer');
      throw new GraphQLError(`The subgraph "${this.#name}" does not answer. The same request may be retried.`, {
        path,
        extensions: { code: 'UNAVAILABLE' },
      });
    } finally {
      endTimer();
    }
  }

  override willSendRequest({ request, context }: GraphQLDataSourceProcessOptions<GatewayContext>): void {
    // A health check of the gateway has no context.
    const { forwarded = {} } = context as Partial<GatewayContext>;
    for (const [name, value] of Object.entries(forwarded)) request.http?.headers.set(name, value);
    const traceparent = currentTraceparent();
    if (traceparent !== undefined) request.http?.headers.set('traceparent', traceparent);
  }
}

/** Where in the answer the fetch belongs. Behind a list it belongs to many places; the path ends before. */
function pathOf(request: GraphQLDataSourceProcessOptions<GatewayContext>): (string | number)[] | undefined {
  const path = [...((request as { pathInIncomingRequest?: readonly (string | number)[] }).pathInIncomingRequest ?? [])];
  const list = path.indexOf('@');
  const known = list === -1 ? path : path.slice(0, list);
  return known.length > 0 ? known : undefined;
}
