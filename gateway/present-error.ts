/** How the error that an operation ends with is told to its client. */
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { messageOf } from '../platform/errors.js';

export type FormatError = (formatted: GraphQLFormattedError, error: unknown) => GraphQLFormattedError;

/** @param format tells what may be told, and logs the rest. */
export function presentError(error: unknown, format: FormatError): GraphQLFormattedError {
  const original = error instanceof GraphQLError ? (error.originalError ?? error) : error;
  if (original instanceof GraphQLError && original.extensions['code'] === undefined) {
    // Syntax and validation: the operation is at fault, and says so.
    const { locations } = original.toJSON();
    const position = locations ? { locations } : {};
    return format({ message: original.message, ...position, extensions: { code: 'BAD_USER_INPUT' } }, original);
  }
  return format(error instanceof GraphQLError ? error.toJSON() : { message: messageOf(error) }, original);
}
