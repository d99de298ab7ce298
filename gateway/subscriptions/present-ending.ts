/** How the reason that a stream ended for is told to its clients. */
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { messageOf } from '../../platform/errors.js';
import { ErrorOfSubgraph } from '../execution/subgraphs/errors-of-subgraphs.js';
import type { FormatError } from '../present-error.js';
import { EndedBySubgraph } from './subgraph-errors.js';
import { UpstreamRefused } from './upstream-refused.js';

/** @returns the errors that a client is told. `cursor`: where it goes on. */
export type PresentEnding = (error: unknown, cursor: string | undefined) => readonly GraphQLFormattedError[];

/** @param formatError tells what may be told, and logs the rest */
export function presentEnding(formatError: FormatError): PresentEnding {
  // A stream, or all streams of a connection, end for one reason: it is logged once, not for each client.
  const presented = new WeakMap<object, readonly GraphQLFormattedError[]>();

  const errorsOf = (error: unknown): readonly GraphQLFormattedError[] => {
    if (error instanceof EndedBySubgraph)
      return error.errors.map((told) => {
        const named = { ...told, extensions: { ...told.extensions, serviceName: error.subgraph } };
        return formatError(named, new ErrorOfSubgraph(told));
      });
    // The connection has logged it.
    if (error instanceof UpstreamRefused) return [{ message: error.message, extensions: { code: error.code } }];
    return [formatError(error instanceof GraphQLError ? error.toJSON() : { message: messageOf(error) }, error)];
  };

  return (error, cursor) => {
    const isObject = typeof error === 'object' && error !== null;
    const errors = (isObject ? presented.get(error) : undefined) ?? errorsOf(error);
    if (isObject) presented.set(error, errors);
    return cursor === undefined ? errors : errors.map((told) => withCursor(told, cursor));
  };
}

/** Where a client that subscribes again goes on. */
function withCursor(error: GraphQLFormattedError, cursor: string): GraphQLFormattedError {
  const { extensions } = error;
  return extensions?.['code'] === 'UNAVAILABLE' ? { ...error, extensions: { ...extensions, cursor } } : error;
}
