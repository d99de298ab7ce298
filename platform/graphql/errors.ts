/** The boundary between our errors and GraphQL: which codes and messages a client sees. */
import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { isTransientDatabaseError } from '../database/transient.js';
import { errorCodes, FleetgraphError } from '../errors.js';
import type { Logger } from '../observability/logger.js';

/** Apollo's own codes for a request that is at fault; all of them are BAD_USER_INPUT in our closed list. */
const requestFaults = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'BAD_REQUEST',
  'OPERATION_RESOLUTION_FAILURE',
  'PERSISTED_QUERY_NOT_FOUND',
  'PERSISTED_QUERY_NOT_SUPPORTED',
]);

/** Any error as the FleetgraphError that the client is shown; undefined if it must not be shown. */
export function presentable(error: unknown): FleetgraphError | undefined {
  const original = unwrapResolverError(error);
  if (original instanceof FleetgraphError) return original;
  if (isTransientDatabaseError(original))
    return new FleetgraphError('UNAVAILABLE', 'The database is away for the moment. The same request may be retried.', {
      cause: original,
    });
  return undefined;
}

/** `formatError` of Apollo Server: our codes stay, request faults become BAD_USER_INPUT, anything else is logged and masked. */
export function graphqlErrorFormatter(
  log: Logger,
): (formatted: GraphQLFormattedError, error: unknown) => GraphQLFormattedError {
  return (formatted, error) => {
    const { locations, path } = formatted;
    const position = { ...(locations ? { locations } : {}), ...(path ? { path } : {}) };
    const known = presentable(error);
    if (known) {
      if (known.code === 'INTERNAL_SERVER_ERROR') log.error({ err: known, path }, 'resolver failed');
      return {
        message: known.message,
        ...position,
        extensions: { code: known.code, ...(known.field === undefined ? {} : { field: known.field }) },
      };
    }
    const code = formatted.extensions?.['code'];
    // APQ needs its own code to work (https://www.apollographql.com/docs/apollo-server/performance/apq).
    if (code === 'PERSISTED_QUERY_NOT_FOUND') return formatted;
    if (typeof code === 'string' && requestFaults.has(code))
      return { message: formatted.message, ...position, extensions: { code: 'BAD_USER_INPUT' } };
    // An error that a subgraph has already presented comes through the gateway with its code.
    if (typeof code === 'string' && Object.hasOwn(errorCodes, code) && code !== 'INTERNAL_SERVER_ERROR') {
      const field = formatted.extensions?.['field'];
      return {
        message: formatted.message,
        ...position,
        extensions: { code, ...(typeof field === 'string' ? { field } : {}) },
      };
    }
    // Whoever asked has gone, or the time for the answer is over: no defect.
    if (isAborted(error)) {
      log.debug({ err: error, path }, 'request was aborted');
      return { message: abortedMessage, ...position, extensions: { code: 'UNAVAILABLE' } };
    }
    log.error({ err: error, path }, 'resolver failed');
    return {
      message: 'Something went wrong inside fleetgraph. The log has the cause.',
      ...position,
      extensions: { code: 'INTERNAL_SERVER_ERROR' },
    };
  };
}

const abortedMessage = 'The request was given up before it was answered. The same request may be retried.';

/** What `AbortController.abort()` rejects with. */
function isAborted(error: unknown): boolean {
  const original = unwrapResolverError(error);
  return original instanceof Error && original.name === 'AbortError';
}

/** A FleetgraphError as the GraphQLError that executes in its place. */
export function toGraphQLError(error: FleetgraphError): GraphQLError {
  return new GraphQLError(error.message, {
    originalError: error,
    extensions: {
      code: error.code,
      ...(error.field === undefined ? {} : { field: error.field }),
      http: { status: errorCodes[error.code].httpStatus },
    },
  });
}
