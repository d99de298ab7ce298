/** A subscription runs for days: whether it would be let in today, and by which plan. */
import type { DocumentNode } from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';
import type { Identity } from '../../platform/identity/identity.js';
import type { OverrideChoice } from '../supergraph/override-labels.js';
import type { SubscriptionPlan } from '../subscriptions/plan.js';
import { textOf, type FindOperation } from './operations.js';

/**
 * The plan of a subscription that was let in before, as its caller may run it now: the schema may be another, and so may the caller's token.
 * @param peekOperation looks an operation up without counting it as used
 * @throws (or rejects with) FleetgraphError BAD_USER_INPUT, FORBIDDEN, UNAUTHENTICATED if it may not any more.
 */
export function admitAgain(
  peekOperation: FindOperation,
  before: {
    readonly document: DocumentNode;
    readonly operationName: string | undefined;
    readonly variables: Readonly<Record<string, unknown>>;
    readonly identity: Identity | undefined;
    readonly choice?: OverrideChoice | undefined;
  },
): SubscriptionPlan | Promise<SubscriptionPlan> {
  const found = peekOperation({ query: textOf(before.document), operationName: before.operationName });
  if (!('document' in found))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `The schema is another now, and does not have what the operation asks for: ${found[0]?.message ?? 'it is not valid'}`,
    );
  return found.admit(before.identity, before.variables, before.choice).subscriptionPlan();
}
