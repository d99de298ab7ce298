/** What is seen of a fetch from a subgraph: a span, its time among the metrics and, for those who develop, in the answer's header. */
import { SpanKind } from '@opentelemetry/api';
import type { Histogram } from 'prom-client';
import { hasTracer, inSpan } from '../../../platform/observability/trace-context.js';
import type { SubgraphRequest } from './subgraph.js';

export function observeFetch<T>(
  { context, operation, representations }: SubgraphRequest,
  { name, seconds }: { readonly name: string; readonly seconds: Pick<Histogram.Internal<string>, 'observe'> },
  fetch: () => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  const spanOf = () => ({
    kind: SpanKind.CLIENT,
    attributes: {
      'subgraph.name': name,
      'graphql.operation.type': operation.isMutation ? 'mutation' : 'query',
      ...(representations ? { 'subgraph.entities': representations.length } : {}),
    },
  });
  const ended = (): void => {
    const ms = performance.now() - startedAt;
    seconds.observe(ms / 1_000);
    context.timings?.push({ subgraph: name, startedAt, ms });
  };
  const fetched = hasTracer() ? inSpan(`fetch from ${name}`, spanOf(), fetch) : fetch();
  // Observed aside: whoever waits for the fetch waits for nothing else.
  fetched.then(ended, ended);
  return fetched;
}
