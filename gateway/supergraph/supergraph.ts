/** The supergraph as plans, validation and answers need it: made from its SDL, and made again when there is a new one. */
import {
  DEFAULT_SUPPORTED_SUPERGRAPH_FEATURES,
  Supergraph as FederatedSupergraph,
  type Schema,
} from '@apollo/federation-internals';
import { parse, type GraphQLSchema } from 'graphql';
import { messageOf, StartupError } from '../../platform/errors.js';
import { freeExecutableDirectives } from './executable-directives.js';
import { overrideLabels, type LabelsOfOperation } from './override-labels.js';
import { createPlanner, type Planner } from './planner.js';

export interface Supergraph {
  /** What it was built from. */
  readonly sdl: string;
  readonly planner: Planner;
  /** The whole supergraph, with the machinery of federation, as graphql-js schema. */
  readonly supergraphSchema: GraphQLSchema;
  /** What clients see: operations are validated against this. */
  readonly apiSchema: GraphQLSchema;
  readonly federatedApiSchema: Schema;
  /** Where the supergraph says that each subgraph is, by its name. */
  readonly subgraphUrls: ReadonlyMap<string, string>;
  /** On which labels of `@override` the plan of an operation depends; undefined: it has none. */
  readonly overrideLabels?: LabelsOfOperation | undefined;
}

/**
 * What a supergraph may be "for" that whoever runs it must understand; a supergraph with anything else is refused. The gateway
 * enforces `@authenticated`, `@requiresScopes` and `@policy` (guards/access), and our subgraphs once more, with the token that is
 * passed on.
 */
const features = new Set([
  ...DEFAULT_SUPPORTED_SUPERGRAPH_FEATURES,
  ...['context', 'cost', 'authenticated', 'requiresScopes', 'policy'].map(
    (name) => `https://specs.apollo.dev/${name}/v0.1`,
  ),
]);

/**
 * @param planningTimeoutMs how long the plan of one operation may take.
 * @throws StartupError if the SDL isn't that of a supergraph that this gateway can execute.
 */
export function buildSupergraph(supergraphSdl: string, planningTimeoutMs = 2_000): Supergraph {
  try {
    return build(supergraphSdl, planningTimeoutMs);
  } catch (error) {
    throw new StartupError(`The supergraph can't be used: ${messageOf(error)}`, { cause: error });
  }
}

function build(supergraphSdl: string, planningTimeoutMs: number): Supergraph {
  const document = freeExecutableDirectives(parse(supergraphSdl, { noLocation: true }));
  const federated = FederatedSupergraph.build(document, { supportedFeatures: features });
  const federatedApiSchema = federated.apiSchema();
  const supergraphSchema = federated.schema.toGraphQLJSSchema();
  return {
    sdl: supergraphSdl,
    planner: createPlanner(document, features, planningTimeoutMs),
    subgraphUrls: new Map(federated.subgraphsMetadata().map(({ name, url }) => [name, url])),
    supergraphSchema,
    overrideLabels: overrideLabels(document, supergraphSchema),
    apiSchema: federatedApiSchema.toGraphQLJSSchema(),
    federatedApiSchema,
  };
}

/** Names of the directives in it by which subgraphs ask the gateway to let only some clients see something. */
export function securityFeatures(supergraphSdl: string): readonly string[] {
  const links = supergraphSdl.matchAll(/"https:\/\/specs\.apollo\.dev\/(authenticated|requiresScopes|policy)\//g);
  return [...links].flatMap(([, name]) => name ?? []);
}
