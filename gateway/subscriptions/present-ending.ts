/** Presents the reason why a stream ended to its clients. */
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { messageOf } from '../../platform/errors.js';
import { ErrorOfSubgraph } from '../execution/subgraphs/errors-of-subgraphs.js';
import type { FormatError } from '../present-error.js';
import { EndedBySubgraph } from './subgraph-errors.js';
import { UpstreamRefused } from './upstream-refused.js';

/** @returns the errors for a client. `cursor`: where the client resumes. */
export type PresentEnding = (error: unknown, cursor: string | undefined) => readonly GraphQLFormattedError[];

/** @param formatError masks what clients may not see, and logs it */
export function presentEnding(formatError: FormatError): PresentEnding {
  // The clients of a stream, and the streams of a connection, share the error: it is logged once.
  const presented = new WeakMap<object, readonly GraphQLFormattedError[]>();

  const errorsOf = (error: unknown): readonly GraphQLFormattedError[] => {
    if (error instanceof EndedBySubgraph)
      return error.errors.map((reported) => {
        const named = { ...reported, extensions: { ...reported.extensions, serviceName: error.subgraph } };
        return formatError(named, new ErrorOfSubgraph(reported));
      });
    // Already logged by the connection.
    if (error instanceof UpstreamRefused) return [{ message: error.message, extensions: { code: error.code } }];
    return [formatError(error instanceof GraphQLError ? error.toJSON() : { message: messageOf(error) }, error)];
  };

  return (error, cursor) => {
    const isObject = typeof error === 'object' && error !== null;
    const errors = (isObject ? presented.get(error) : undefined) ?? errorsOf(error);
    if (isObject) presented.set(error, errors);
    return cursor === undefined ? errors : errors.map((each) => withCursor(each, cursor));
  };
}

function withCursor(error: GraphQLFormattedError, cursor: string): GraphQLFormattedError {
  const { extensions } = error;
  return extensions?.['code'] === 'UNAVAILABLE' ? { ...error, extensions: { ...extensions, cursor } } : error;
}
