/**
 * One event of a subscription: what the subgraph sent is given data, the rest of the plan is fetched and joined.
 * @apollo/gateway executes the sequence [primary, rest] with sources in which the document of the primary is answered with
 * the event, so that the joining is the same as for a query.
 */
import { executeQueryPlan, type GraphQLDataSource } from '@apollo/gateway';
import type { QueryPlan } from '@apollo/query-planner';
import type { FormattedExecutionResult } from 'graphql';
import type { GatewayContext } from '../request-context.js';
import type { SubgraphSources } from '../supergraph/subgraph-sources.js';
import type { SubscriptionPlan } from './plan.js';
import type { UpstreamEvent } from './upstream.js';

type RequestContext = Parameters<typeof executeQueryPlan>[2];

export interface EventExecution {
  readonly plan: SubscriptionPlan;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: GatewayContext;
  readonly sources: SubgraphSources;
}

/** The payload for the client. A field whose subgraph is down is null, with an error that has its path. */
export async function executeEvent(
  execution: EventExecution,
  event: UpstreamEvent,
): Promise<FormattedExecutionResult<Record<string, unknown>>> {
  const { plan, variables, context, sources } = execution;
  const { primary, rest, supergraph, operationContext } = plan;
  const queryPlan: QueryPlan = {
    kind: 'QueryPlan',
    node: { kind: 'Sequence', nodes: rest ? [primary, rest] : [primary] },
  };
  const serviceMap = new Proxy<Record<string, GraphQLDataSource>>(
    {},
    { get: (_target, name) => (typeof name === 'string' ? sourceOf(name) : undefined) },
  );
  const sourceOf = (name: string): GraphQLDataSource => {
    const source = sources.of(name);
    if (name !== primary.serviceName) return source;
    return {
      process: async (options) =>
        options.request.query === primary.operation
          ? { data: event.data ?? null, ...(event.errors ? { errors: event.errors } : {}) }
          : source.process(options),
    };
  };
  // The parts of Apollo Server's request context that the executor reads.
  const requestContext = {
    request: { variables: { ...variables } },
    context,
    metrics: {},
    queryHash: '',
    cache: undefined,
  } as unknown as RequestContext;
  const result = await executeQueryPlan(
    queryPlan,
    serviceMap,
    requestContext,
    operationContext,
    supergraph.supergraphSchema,
    supergraph.federatedApiSchema,
  );
  return withCompletionErrors(result as FormattedExecutionResult<Record<string, unknown>>);
}

/** Null in a place that may not be null comes as `data: null` with the reason in an extension and no error: make it one. */
function withCompletionErrors(
  result: FormattedExecutionResult<Record<string, unknown>>,
): FormattedExecutionResult<Record<string, unknown>> {
  const { data, errors, extensions } = result;
  const completion = (extensions as { valueCompletion?: { message: string; path?: (string | number)[] }[] } | undefined)
    ?.valueCompletion;
  const all = [...(errors ?? [])];
  if (all.length === 0 && completion?.length)
    all.push(
      ...completion.map(({ message, path }) => ({
        message,
        ...(path ? { path } : {}),
        extensions: { code: 'INTERNAL_SERVER_ERROR' },
      })),
    );
  return { ...(data === undefined ? {} : { data }), ...(all.length > 0 ? { errors: all } : {}) };
}
