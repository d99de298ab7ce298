/**
 * The supergraph as plans and validation need it. `@apollo/gateway` keeps its own query planner private and refuses
 * subscriptions, so this is a second one over the same SDL, rebuilt whenever the gateway takes a new one.
 */
import { QueryPlanner } from '@apollo/query-planner';
import { Supergraph as FederatedSupergraph, type Schema } from '@apollo/federation-internals';
import type { GraphQLSchema } from 'graphql';

export interface Supergraph {
  readonly planner: QueryPlanner;
  /** The whole supergraph, with the machinery of federation, as graphql-js schema. */
  readonly supergraphSchema: GraphQLSchema;
  /** What clients see: operations are validated against this. */
  readonly apiSchema: GraphQLSchema;
  readonly federatedApiSchema: Schema;
}

/**
 * The SDL as @apollo/gateway takes it. A feature that is "for: SECURITY" must be enforced by whoever executes, and
 * @apollo/gateway knows none of them, so it refuses the whole supergraph. Here the gateway enforces them itself
 * (guards/access), and our subgraphs once more, with the token that is passed on.
 */
export function executableSdl(supergraphSdl: string): string {
  return supergraphSdl.replaceAll(
    /(@link\(\s*url: "https:\/\/specs\.apollo\.dev\/(?:authenticated|requiresScopes|policy)\/[^)]*?),?\s*for: SECURITY/g,
    '$1',
  );
}

/** @throws Error if the SDL isn't that of a supergraph. */
export function buildSupergraph(supergraphSdl: string): Supergraph {
  const federated = FederatedSupergraph.build(executableSdl(supergraphSdl));
  const federatedApiSchema = federated.apiSchema();
  return {
    planner: new QueryPlanner(federated),
    supergraphSchema: federated.schema.toGraphQLJSSchema(),
    apiSchema: federatedApiSchema.toGraphQLJSSchema(),
    federatedApiSchema,
  };
}
