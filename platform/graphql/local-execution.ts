/**
 * A subgraph for those in the same process: what a request over HTTP would be answered with, without HTTP, and not written and
 * read again. The same is checked: the token, the scopes of the fields, the operation; the same is shown of what goes wrong.
 */
import {
  execute,
  getOperationAST,
  GraphQLError,
  parse,
  validate,
  type DocumentNode,
  type GraphQLFormattedError,
  type GraphQLSchema,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { messageOf } from '../errors.js';
import type { VerifyToken } from '../identity/verify-token.js';
import type { Logger } from '../observability/logger.js';
import type { RequestContext } from './context.js';
import { graphqlErrorFormatter, presentable, toGraphQLError } from './errors.js';
import { withoutLossless } from './lossless-variables.js';
import { requestContext } from './request-context.js';

export interface LocalRequest {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly operationName: string | undefined;
  /** Those that the request would have, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface LocalResponse {
  /** The caller's own. */
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly GraphQLFormattedError[];
}

/** Never rejects. */
export type ExecuteLocally = (request: LocalRequest) => Promise<LocalResponse>;

/** A part of fleetgraph that serves a subgraph. */
export interface LocalSubgraph {
  readonly execute: ExecuteLocally;
}

/** What a subgraph that does not run answers. */
export const notStarted: LocalResponse = {
  errors: [{ message: 'The subgraph does not run at the moment.', extensions: { code: 'UNAVAILABLE' } }],
};

/** Operations of one gateway are few: those of its plans. */
const maxDocuments = 1_000;

export function createLocalExecution(options: {
  readonly schema: GraphQLSchema;
  readonly verifyToken: VerifyToken;
  readonly context: (base: RequestContext) => RequestContext;
  readonly log: Logger;
}): ExecuteLocally {
  const { schema, verifyToken } = options;
  const format = graphqlErrorFormatter(options.log);
  const documents = new LRUCache<string, DocumentNode>({ max: maxDocuments });

  const documentOf = (query: string): DocumentNode => {
    const known = documents.get(query);
    if (known) return known;
    const document = parse(query, { noLocation: true });
    const [fault] = validate(schema, document);
    if (fault) throw new GraphQLError(fault.message, { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } });
    documents.set(query, document);
    return document;
  };

  const formatted = (error: unknown): GraphQLFormattedError => {
    const known = presentable(error);
    const shown = known ? toGraphQLError(known) : error;
    return format(shown instanceof GraphQLError ? shown.toJSON() : { message: messageOf(error) }, shown);
  };

  const requestFault = (error: GraphQLError): GraphQLFormattedError =>
    format({ message: error.message, extensions: { code: 'BAD_USER_INPUT' } }, error);

  return async ({ query, variables, operationName, headers }) => {
    try {
      const contextValue = options.context(await requestContext({ headers }, verifyToken));
      const document = documentOf(query);
      const { variableDefinitions = [] } = getOperationAST(document, operationName) ?? {};
      const { data, errors } = await execute({
        schema,
        document,
        contextValue,
        variableValues: withoutLossless(schema, variableDefinitions, variables),
        ...(operationName === undefined ? {} : { operationName }),
      });
      // Nothing was executed: the variables are at fault.
      if (data === undefined) return { errors: (errors ?? []).map(requestFault) };
      return { data, ...(errors ? { errors: errors.map((error) => format(error.toJSON(), error)) } : {}) };
    } catch (error) {
      return { errors: [formatted(error)] };
    }
  };
}
