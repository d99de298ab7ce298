/**
 * The subscription engine, free of any transport: give it a validated operation, get payloads. It plans the operation,
 * subscribes to the primary at its subgraph, and executes the rest for one event at a time, in order.
 */
import type { DocumentNode, FormattedExecutionResult } from 'graphql';
import { cancellable } from '../../platform/lifecycle/cancellable.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { GatewayContext } from '../request-context.js';
import type { SubgraphSources } from '../supergraph/subgraph-sources.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { executeEvent } from './execute-event.js';
import { createSubscriptionPlanner } from './plan.js';
import type { Upstreams } from './upstream.js';

export interface SubscriptionRequest {
  readonly document: DocumentNode;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: GatewayContext;
}

export type Payload = FormattedExecutionResult<Record<string, unknown>>;

export interface SubscriptionEngine {
  /**
   * Runs a subscription until it is left or its subgraph ends it.
   * @throws FleetgraphError or GraphQLError with a code: the operation can't be planned, was refused, or was interrupted.
   */
  subscribe(request: SubscriptionRequest): AsyncGenerator<Payload, void, undefined>;
}

export function createSubscriptionEngine(options: {
  supergraph: () => Supergraph;
  upstreams: Upstreams;
  sources: SubgraphSources;
  log: Logger;
}): SubscriptionEngine {
  const planSubscription = createSubscriptionPlanner(options);
  return {
    subscribe: (request) => cancellable((signal) => payloads(request, signal)),
  };

  async function* payloads(
    { document, operationName, variables, context }: SubscriptionRequest,
    signal: AbortSignal,
  ): AsyncGenerator<Payload, void, undefined> {
    const plan = planSubscription(document, operationName);
    const { primary } = plan;
    const used = new Set(primary.variableUsages ?? []);
    const {
      authorization,
      traceparent,
      'x-correlation-id': correlationId,
      'x-fleetgraph-consistency': consistencyToken,
    } = context.forwarded;
    const operation = {
      query: primary.operation,
      variables: Object.fromEntries(Object.entries(variables).filter(([name]) => used.has(name))),
      extensions: { authorization, traceparent, correlationId, consistencyToken },
    };
    const events = options.upstreams.subscribe(primary.serviceName, operation, signal);
    for await (const event of events)
      yield await executeEvent({ plan, variables, context, sources: options.sources }, event);
  }
}
