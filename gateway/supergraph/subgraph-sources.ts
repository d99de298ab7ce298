/** The subgraphs as @apollo/gateway fetches from them: over HTTP, with what must be passed on. */
import { RemoteGraphQLDataSource, type GraphQLDataSource, type GraphQLDataSourceProcessOptions } from '@apollo/gateway';
import { GraphQLError } from 'graphql';
import { currentTraceparent } from '../../platform/observability/trace-context.js';
import { messageOf } from '../../platform/errors.js';
import type { GatewayMetrics } from '../gateway-metrics.js';
import type { GatewayContext } from '../request-context.js';

export interface SubgraphSources {
  of(name: string): GraphQLDataSource;
}

export function createSubgraphSources(options: {
  urls: Readonly<Record<string, () => string>>;
  metrics: GatewayMetrics;
}): SubgraphSources {
  const sources = new Map<string, GraphQLDataSource>();
  return {
    of(name) {
      const known = sources.get(name);
      if (known) return known;
      const url = options.urls[name];
      if (!url) throw new Error(`The supergraph has a subgraph "${name}", whose address the gateway was not given.`);
      const made = new SubgraphSource(name, url(), options.metrics);
      sources.set(name, made);
      return made;
    },
  };
}

class SubgraphSource extends RemoteGraphQLDataSource<GatewayContext> {
  readonly #name: string;
  readonly #metrics: GatewayMetrics;

  constructor(name: string, url: string, metrics: GatewayMetrics) {
    super({ url });
    this.#name = name;
    this.#metrics = metrics;
  }

  override async process(request: GraphQLDataSourceProcessOptions<GatewayContext>) {
    const endTimer = this.#metrics.fetchSeconds.startTimer({ subgraph: this.#name });
    try {
      return await super.process(request);
    } catch (error) {
      // An error that the subgraph answered with has its code; what has none didn't get an answer.
      if (
        error instanceof GraphQLError &&
        typeof error.extensions['code'] === 'string' &&
        error.extensions['code'] !== 'INTERNAL_SERVER_ERROR'
      )
        throw error;
      throw new GraphQLError(`The subgraph "${this.#name}" does not answer. The same request may be retried.`, {
        extensions: { code: 'UNAVAILABLE', reason: messageOf(error) },
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
