/** An operation that runs for days, a subscription: whether it would be let in today. */
import { print, type DocumentNode } from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';
import type { Identity } from '../../platform/identity/identity.js';
import type { Restriction } from '../execution/restriction.js';
import type { FindOperation } from './operations.js';

/**
 * An operation that was let in before, as its caller may run it now: the schema may be another, and so may the caller's token.
 * @throws FleetgraphError BAD_USER_INPUT, FORBIDDEN, UNAUTHENTICATED if it may not any more.
 */
export function admitAgain(
  findOperation: FindOperation,
  before: {
    readonly document: DocumentNode;
    readonly operationName: string | undefined;
    readonly variables: Readonly<Record<string, unknown>>;
    readonly identity: Identity | undefined;
  },
): { readonly document: DocumentNode; readonly restriction: Restriction | undefined } {
  const query = before.document.loc?.source.body ?? print(before.document);
  const found = findOperation({ query, operationName: before.operationName });
  if (!('document' in found))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `The schema is another now, and does not have what the operation asks for: ${found[0]?.message ?? 'it is not valid'}`,
    );
  const { restriction } = found.admit(before.identity, before.variables);
  return { document: found.document, restriction };
}
