/** What is said of a subgraph whose answer can not be used. Why, is for the log alone. */
import { GraphQLError } from 'graphql';

/**
 * That a subgraph gave no answer, or none that can be used, and may give one if it is asked again.
 */
export function unavailable(subgraph: string): GraphQLError {
  return new GraphQLError(`The subgraph "${subgraph}" does not answer. The same request may be retried.`, {
    extensions: { code: 'UNAVAILABLE' },
  });
}

/** That its answers can not be used, and that asking again does not help. */
export function faulty(subgraph: string, cause: Error): GraphQLError {
  return new GraphQLError(cause.message, {
    originalError: cause,
    extensions: { code: 'INTERNAL_SERVER_ERROR', serviceName: subgraph },
  });
}
