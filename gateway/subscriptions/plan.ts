/**
 * From a subscription operation to a plan: which subgraph to subscribe to with which document (`primary`), and what to
 * fetch for each event (`rest`). Plans depend on the operation alone and are kept.
 */
import { operationFromDocument } from '@apollo/federation-internals';
import type { FetchNode, PlanNode } from '@apollo/query-planner';
import { buildOperationContext } from '@apollo/gateway';
import { Kind, print, type DocumentNode, type OperationDefinitionNode } from 'graphql';
import { LRUCache } from 'lru-cache';
import { FleetgraphError } from '../../platform/errors.js';
import type { Supergraph } from '../supergraph/supergraph.js';

export interface SubscriptionPlan {
  /** The fetch that is subscribed to; its `operation` is a complete document for its subgraph. */
  readonly primary: FetchNode;
  /** What follows for each event; undefined if the event holds everything. */
  readonly rest: PlanNode | undefined;
  readonly operationContext: ReturnType<typeof buildOperationContext>;
  readonly supergraph: Supergraph;
}

export type PlanSubscription = (document: DocumentNode, operationName: string | undefined) => SubscriptionPlan;

/** @returns a function that plans validated documents, and throws FleetgraphError BAD_USER_INPUT for what can't be planned. */
export function createSubscriptionPlanner(options: {
  supergraph: () => Supergraph;
  maxPlans?: number;
}): PlanSubscription {
  const plans = new LRUCache<string, SubscriptionPlan>({ max: options.maxPlans ?? 1_000 });
  return (document, operationName) => {
    const supergraph = options.supergraph();
    const key = `${operationName ?? ''}\n${print(document)}`;
    const known = plans.get(key);
    // A plan of a former supergraph must not be run on the new one.
    if (known?.supergraph === supergraph) return known;
    const made = plan(supergraph, document, operationName);
    plans.set(key, made);
    return made;
  };
}

function plan(supergraph: Supergraph, document: DocumentNode, operationName: string | undefined): SubscriptionPlan {
  const operationContext = buildOperationContext({
    schema: supergraph.apiSchema,
    operationDocument: document,
    ...(operationName === undefined ? {} : { operationName }),
  });
  refuseConditionalRoot(operationContext.operation);
  const operation = operationFromDocument(
    supergraph.federatedApiSchema,
    document,
    operationName === undefined ? {} : { operationName },
  );
  const { node } = supergraph.planner.buildQueryPlan(operation);
  if (node?.kind !== 'Subscription')
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      'The subscription selects no field of the graph. Select one field of the type Subscription.',
    );
  return { primary: node.primary, rest: node.rest, operationContext, supergraph };
}

/** The planner has no answer to a root field that may not be there; neither has a client. */
function refuseConditionalRoot({ selectionSet }: OperationDefinitionNode): void {
  for (const selection of selectionSet.selections) {
    if ((selection.directives ?? []).some(({ name }) => name.value === 'skip' || name.value === 'include')) {
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        'The root field of a subscription can not carry @skip or @include. Decide before you subscribe.',
      );
    }
    if (selection.kind === Kind.INLINE_FRAGMENT)
      refuseConditionalRoot({ selectionSet: selection.selectionSet } as OperationDefinitionNode);
  }
}
