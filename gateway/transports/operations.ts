/**
 * From the request of any transport to an operation that may run: parsed, validated and prepared once for each text. What
 * depends on the text alone is kept.
 */
import {
  getOperationAST,
  GraphQLError,
  Kind,
  OperationTypeNode,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  type OperationDefinitionNode,
  type ValidationRule,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { FleetgraphError } from '../../platform/errors.js';
import type { Executor, PreparedOperation } from '../execution/executor.js';
import type { Supergraph } from '../supergraph/supergraph.js';

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
  /** Planned and compiled when it is first wanted. Not for subscriptions. */
  readonly prepared: () => PreparedOperation;
}

/** @returns the operation, or what is wrong with it. */
export type FindOperation = (request: OperationRequest) => KnownOperation | readonly GraphQLError[];

interface KnownDocument {
  readonly document: DocumentNode;
  readonly supergraph: Supergraph;
  readonly operations: Map<string | undefined, KnownOperation>;
}

/** Documents are kept up to this many characters in all. */
const maxKeptCharacters = 8_000_000;

export function createOperations(options: {
  supergraph: () => Supergraph;
  prepare: Executor['prepare'];
  /** Beside those of the GraphQL specification. */
  rules: readonly ValidationRule[];
  /** More tokens are refused before the text is parsed whole. */
  maxTokens: number;
  /** Whether what is refused is told without names that would have been right. */
  hideSuggestions?: boolean;
}): FindOperation {
  const rules = [...specifiedRules, ...options.rules];
  const kept = new LRUCache<string, KnownDocument>({
    maxSize: maxKeptCharacters,
    sizeCalculation: (_value, text) => text.length + 1,
  });

  const documentOf = (text: string): KnownDocument | readonly GraphQLError[] => {
    const supergraph = options.supergraph();
    const known = kept.get(text);
    if (known?.supergraph === supergraph) return known;
    let document: DocumentNode;
    try {
      document = parse(text, { maxLexicalTokens: options.maxTokens });
    } catch (error) {
      if (error instanceof GraphQLError) return [error];
      throw error;
    }
    const faults = validate(supergraph.apiSchema, document, rules, {
      maxErrors: 20,
      hideSuggestions: options.hideSuggestions ?? false,
    });
    if (faults.length > 0) return faults;
    const made: KnownDocument = { document, supergraph, operations: new Map() };
    kept.set(text, made);
    return made;
  };

  return ({ query, operationName }) => {
    const found = documentOf(query);
    if (!('document' in found)) return found;
    const known = found.operations.get(operationName);
    if (known) return known;
    const operation = getOperationAST(found.document, operationName);
    if (!operation)
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        'The document has no operation of that name, or several and none is named.',
      );
    const made = knownOperation(found.document, operation, () => options.prepare(found.document, operationName));
    found.operations.set(operationName, made);
    return made;
  };
}

function knownOperation(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  prepare: () => PreparedOperation,
): KnownOperation {
  let prepared: PreparedOperation | undefined;
  return {
    document,
    operation,
    isSubscription: operation.operation === OperationTypeNode.SUBSCRIPTION,
    asksForSchemaOnly: operation.selectionSet.selections.every(
      (selection) => selection.kind === Kind.FIELD && selection.name.value.startsWith('__'),
    ),
    prepared: () => (prepared ??= prepare()),
  };
}
