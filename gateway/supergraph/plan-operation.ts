/** From a validated operation to its plan: what the planner of federation wants to have otherwise is done before and after it. */
import { operationFromDocument, type Operation } from '@apollo/federation-internals';
import type { QueryPlan } from '@apollo/query-planner';
import { GraphQLError, separateOperations, type DocumentNode } from 'graphql';
import { keepDigits } from './exact-literals.js';
import type { SeparateNames } from './separate-names.js';
import type { Supergraph } from './supergraph.js';

export interface PlannedOperation {
  readonly queryPlan: QueryPlan;
  /** What the data has, by the name in the answer, where the two differ. */
  readonly dataNames: SeparateNames['dataNames'];
}

/**
 * @param overrides labels of `@override` that are on
 * @throws GraphQLError BAD_USER_INPUT if there is no plan for it.
 */
export function planOperation(
  { planner, apiSchema, federatedApiSchema }: Supergraph,
  document: DocumentNode,
  operationName: string | undefined,
  overrides: readonly string[] = [],
): PlannedOperation {
  const { document: separate, dataNames } = planner.separateNames(withoutOthers(document, operationName));
  const { document: planned, restore } = keepDigits(separate, apiSchema);
  const read = (): Operation => operationFromDocument(federatedApiSchema, planned);
  return { queryPlan: restore(planner.buildQueryPlan(refusingInput(read), overrides)), dataNames };
}

/** The operation with its fragments. Federation checks all fragments of a document against the variables of one operation. */
function withoutOthers(document: DocumentNode, operationName: string | undefined): DocumentNode {
  return operationName === undefined ? document : (separateOperations(document)[operationName] ?? document);
}

/** What federation has against an operation that GraphQL takes is the client's to mend, and no defect. */
function refusingInput<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    throw new GraphQLError(error.message, {
      extensions: { code: 'BAD_USER_INPUT' },
      nodes: error.nodes ?? null,
      originalError: error,
    });
  }
}
