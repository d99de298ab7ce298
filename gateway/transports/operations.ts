/**
 * From the request of any transport to an operation that may run: parsed and validated once for each text, and what it asks
 * for is known. What depends on the text alone is kept.
 */
import {
  getOperationAST,
  GraphQLError,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  OperationTypeNode,
  type ValidationRule,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { FleetgraphError } from '../../platform/errors.js';
import type { Supergraph } from '../supergraph/supergraph.js';

export interface OperationRequest {
  readonly query: string;
  readonly operationName: string | undefined;
}

export interface KnownOperation {
  readonly document: DocumentNode;
  readonly isSubscription: boolean;
}

/** @returns the operation, or what is wrong with it. */
export type FindOperation = (request: OperationRequest) => KnownOperation | readonly GraphQLError[];

/** Documents are kept up to this many characters in all. */
const maxKeptCharacters = 8_000_000;

export function createOperations(options: {
  supergraph: () => Supergraph;
  /** Beside those of the GraphQL specification. */
  rules: readonly ValidationRule[];
  /** More tokens are refused before the text is parsed whole. */
  maxTokens: number;
}): FindOperation {
  const rules = [...specifiedRules, ...options.rules];
  const kept = new LRUCache<string, { readonly document: DocumentNode; readonly supergraph: Supergraph }>({
    maxSize: maxKeptCharacters,
    sizeCalculation: (_value, text) => text.length + 1,
  });

  const documentOf = (text: string): DocumentNode | readonly GraphQLError[] => {
    const supergraph = options.supergraph();
    const known = kept.get(text);
    if (known?.supergraph === supergraph) return known.document;
    let document: DocumentNode;
    try {
      document = parse(text, { maxLexicalTokens: options.maxTokens });
    } catch (error) {
      if (error instanceof GraphQLError) return [error];
      throw error;
    }
    const faults = validate(supergraph.apiSchema, document, rules, { maxErrors: 20 });
    if (faults.length > 0) return faults;
    kept.set(text, { document, supergraph });
    return document;
  };

  return ({ query, operationName }) => {
    const document = documentOf(query);
    if (!('kind' in document)) return document;
    const operation = getOperationAST(document, operationName);
    if (!operation)
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        'The document has no operation of that name, or several and none is named.',
      );
    return { document, isSubscription: operation.operation === OperationTypeNode.SUBSCRIPTION };
  };
}
