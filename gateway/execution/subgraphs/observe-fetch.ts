/** What is seen of a fetch from a subgraph: a span, its time among the metrics and, for those who develop, in the answer's header. */
import { SpanKind } from '@opentelemetry/api';
import type { Histogram } from 'prom-client';
import { inRecordedSpan } from '../../../platform/observability/trace-context.js';
import type { SubgraphRequest } from './subgraph.js';

export function observeFetch<T>(
  { context, operation, representations }: SubgraphRequest,
  { name, seconds }: { readonly name: string; readonly seconds: Pick<Histogram.Internal<string>, 'observe'> },
  fetch: () => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  const ended = (): void => {
    const ms = performance.now() - startedAt;
    seconds.observe(ms / 1_000);
    context.timings?.push({ subgraph: name, startedAt, ms });
  };
  const attributes = {
    'subgraph.name': name,
    'graphql.operation.type': operation.isMutation ? 'mutation' : 'query',
    ...(representations ? { 'subgraph.entities': representations.length } : {}),
  };
  return inRecordedSpan(`fetch from ${name}`, { kind: SpanKind.CLIENT, attributes }, fetch).finally(ended);
}
