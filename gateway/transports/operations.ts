/**
 * From the request of any transport to an operation that may run: parsed, validated, guarded and prepared once for each text.
 * What depends on the text alone is kept.
 */
import {
  getOperationAST,
  Kind,
  OperationTypeNode,
  type DocumentNode,
  type GraphQLError,
  type OperationDefinitionNode,
} from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';
import type { Identity } from '../../platform/identity/identity.js';
import type { Executor, PreparedOperation } from '../execution/executor.js';
import type { Restriction } from '../execution/restriction.js';
import type { Guards, OperationGuard } from '../guards/guards.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import { createOperationCache, type CacheBounds } from './operation-cache.js';

export interface OperationRequest {
  readonly query: string;
  readonly operationName: string | undefined;
}

export interface KnownOperation {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly isSubscription: boolean;
  /** Whether it asks for the schema and nothing else: it reaches no subgraph. */
  readonly asksForSchemaOnly: boolean;
  readonly guard: OperationGuard;
  /**
   * As this caller may run it with these variables.
   * @throws FleetgraphError BAD_USER_INPUT, FORBIDDEN, UNAUTHENTICATED if it may not.
   */
  admit(identity: Identity | undefined, variables: Readonly<Record<string, unknown>>): Admitted;
}

export interface Admitted {
  readonly restriction: Restriction | undefined;
  /** Planned and compiled when it is first wanted. Not for subscriptions. */
  readonly prepared: () => PreparedOperation;
}

/** @returns the operation, or what is wrong with it. @throws FleetgraphError if it may not run. */
export type FindOperation = (request: OperationRequest) => KnownOperation | readonly GraphQLError[];

interface KnownDocument {
  readonly document: DocumentNode;
  readonly supergraph: Supergraph;
  readonly operations: Map<string | undefined, KnownOperation>;
}

/** Callers that may see different parts of one operation. */
const maxVariants = 32;

export function createOperations(options: {
  supergraph: () => Supergraph;
  prepare: Executor['prepare'];
  guards: Guards;
  cache?: CacheBounds;
}): FindOperation {
  const { guards, prepare } = options;
  const kept = createOperationCache<KnownDocument>(options.cache);

  const documentOf = (text: string): KnownDocument | readonly GraphQLError[] => {
    const supergraph = options.supergraph();
    const known = kept.get(text);
    if (known?.supergraph === supergraph) return known;
    const document = guards.parse(text, supergraph);
    if (!('kind' in document)) return document;
    const made: KnownDocument = { document, supergraph, operations: new Map() };
    kept.set(text, made);
    return made;
  };

  return ({ query, operationName }) => {
    const found = documentOf(query);
    if (!('document' in found)) return found;
    const known = found.operations.get(operationName);
    if (known) return known;
    const { document, supergraph } = found;
    const operation = getOperationAST(document, operationName);
    if (!operation)
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        'The document has no operation of that name, or several and none is named.',
      );
    const made = knownOperation({
      ...{ document, operation },
      guard: guards.guard(document, operation, supergraph),
      prepare: (restriction) => prepare(document, operationName, supergraph, restriction),
    });
    found.operations.set(operationName, made);
    return made;
  };
}

function knownOperation({
  document,
  operation,
  guard,
  prepare,
}: {
  document: DocumentNode;
  operation: OperationDefinitionNode;
  guard: OperationGuard;
  prepare: (restriction: Restriction | undefined) => PreparedOperation;
}): KnownOperation {
  const variants = new Map<string, Admitted>();
  return {
    document,
    operation,
    guard,
    isSubscription: operation.operation === OperationTypeNode.SUBSCRIPTION,
    asksForSchemaOnly: operation.selectionSet.selections.every(
      (selection) => selection.kind === Kind.FIELD && selection.name.value.startsWith('__'),
    ),
    admit(identity, variables) {
      guard.admit(variables);
      const { variant, restriction } = guard.restrictionFor(identity);
      const known = variants.get(variant);
      if (known) return known;
      let prepared: PreparedOperation | undefined;
      const made: Admitted = { restriction, prepared: () => (prepared ??= prepare(restriction)) };
      if (variants.size >= maxVariants) variants.clear();
      variants.set(variant, made);
      return made;
    },
  };
}
