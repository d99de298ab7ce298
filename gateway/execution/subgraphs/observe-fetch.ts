/** What is seen of a fetch from a subgraph: a span, its time among the metrics and, for those who develop, in the answer's header. */
import { SpanKind } from '@opentelemetry/api';
import type { Observer } from '../../../platform/observability/request-metrics.js';
import { hasTracer, inSpan } from '../../../platform/observability/trace-context.js';
import type { SubgraphRequest } from './subgraph.js';

/** @param fetch calls `ended`, once, when the fetch has its answer or has failed */
export function observeFetch<T>(
  request: SubgraphRequest,
  { name, seconds }: { readonly name: string; readonly seconds: Observer },
  fetch: (ended: () => void) => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  const ended = (): void => {
    const ms = performance.now() - startedAt;
    seconds.observe(ms / 1_000);
    request.context.timings?.push({ subgraph: name, startedAt, ms });
  };
  return hasTracer() ? inSpan(`fetch from ${name}`, spanOf(name, request), () => fetch(ended)) : fetch(ended);
}

function spanOf(name: string, { operation, representations }: SubgraphRequest) {
  return {
    kind: SpanKind.CLIENT,
    attributes: {
      'subgraph.name': name,
      'graphql.operation.type': operation.isMutation ? 'mutation' : 'query',
      ...(representations ? { 'subgraph.entities': representations.length } : {}),
    },
  };
}
