import { GraphQLError } from 'graphql';

/** That a subgraph gave no answer, or none that can be used. Why, is for the log alone. */
export function unavailable(subgraph: string): GraphQLError {
  return new GraphQLError(`The subgraph "${subgraph}" does not answer. The same request may be retried.`, {
    extensions: { code: 'UNAVAILABLE' },
  });
}
