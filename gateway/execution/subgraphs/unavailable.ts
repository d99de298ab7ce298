import { GraphQLError } from 'graphql';

/** That a subgraph gave no answer, or none that can be used. Its cause is for the log alone. */
export function unavailable(subgraph: string, options: { readonly cause?: unknown } = {}): GraphQLError {
  const error = new GraphQLError(`The subgraph "${subgraph}" does not answer. The same request may be retried.`, {
    extensions: { code: 'UNAVAILABLE' },
  });
  if (options.cause !== undefined) error.cause = options.cause;
  return error;
}
