/**
 * A subgraph as each of the three serves it: an executable federation schema whose fields ask for scopes, behind Apollo
 * Server on Fastify. Authorization is checked here as well as at the gateway: a subgraph trusts nobody but the token.
 */
import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
} from '@apollo/server/plugin/disabled';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { fastifyApolloDrainPlugin, fastifyApolloHandler } from '@as-integrations/fastify';
import type { FastifyInstance } from 'fastify';
import {
  defaultFieldResolver,
  isObjectType,
  parse,
  type GraphQLField,
  type GraphQLFieldResolver,
  type GraphQLSchema,
} from 'graphql';
import type { VerifyToken } from '../identity/verify-token.js';
import type { Logger } from '../observability/logger.js';
import type { RequestContext } from './context.js';
import { emptyListCheck } from './empty-lists.js';
import { guardReferences, type Resolvers } from './entity-references.js';
import { graphqlErrorFormatter, presentable, toGraphQLError } from './errors.js';
import { exactVariables, parseExactBodies } from './exact-requests.js';
import { createLocalExecution, type ExecuteLocally } from './local-execution.js';
import { requestContext } from './request-context.js';
import { authorize, requiredScopes } from './required-scopes.js';

export type { Resolvers };

/**
 * The executable schema. Every field of a root type must carry `@requiresScopes`, and every entity `@referenceScopes`; one that
 * doesn't is a defect and throws. Empty lists in arguments are refused (empty-lists.ts).
 */
export function createSubgraphSchema(typeDefs: string, resolvers: Resolvers): GraphQLSchema {
  const document = parse(typeDefs);
  const schema = buildSubgraphSchema([{ typeDefs: document, resolvers: guardReferences(document, resolvers) }]);
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    const isRoot = ['Query', 'Mutation', 'Subscription'].includes(type.name);
    for (const field of Object.values(type.getFields())) {
      // `_entities` is the gateway's.
      if (!field.name.startsWith('_')) refuseEmptyLists(field as GraphQLField<unknown, RequestContext>);
      const required = requiredScopes(field.astNode?.directives ?? []);
      if (required === undefined) {
        if (isRoot && !field.name.startsWith('_'))
          throw new Error(`${type.name}.${field.name} has no @requiresScopes.`);
        continue;
      }
      const resolve = field.resolve ?? defaultFieldResolver;
      field.resolve = (source, args, context: RequestContext, info) => {
        authorize(context, required, `${type.name}.${field.name}`);
        return resolve(source, args, context, info);
      };
      if (field.subscribe) {
        const { subscribe } = field;
        field.subscribe = (source, args, context: RequestContext, info) => {
          authorize(context, required, `${type.name}.${field.name}`);
          return subscribe(source, args, context, info);
        };
      }
    }
  }
  return schema;
}

/** A subscription's arguments are looked at when it begins, not for each of its events. */
function refuseEmptyLists(field: GraphQLField<unknown, RequestContext>): void {
  const check = emptyListCheck(field);
  if (check === undefined) return;
  const checked =
    (then: GraphQLFieldResolver<unknown, RequestContext>): GraphQLFieldResolver<unknown, RequestContext> =>
    (source, args: Record<string, unknown>, context, info) => {
      check(args);
      return then(source, args, context, info);
    };
  if (field.subscribe) field.subscribe = checked(field.subscribe);
  else field.resolve = checked(field.resolve ?? defaultFieldResolver);
}

export interface SubgraphServerOptions<Context extends RequestContext> {
  readonly app: FastifyInstance;
  readonly schema: GraphQLSchema;
  readonly verifyToken: VerifyToken;
  /** Adds the subgraph's own things (loaders, services) to the context of a request. */
  readonly context: (base: RequestContext) => Context;
  readonly production: boolean;
  readonly log: Logger;
  readonly plugins?: readonly ApolloServerPlugin<Context>[];
}

export interface SubgraphServer {
  /** What a request over HTTP would be answered with, for those in this process. */
  readonly execute: ExecuteLocally;
  /** Resolves when what is in hand is answered. */
  stop(): Promise<void>;
}

/** Serves the schema at POST /graphql of `app`. Stop the returned server before closing `app`. */
export async function serveSubgraph<Context extends RequestContext>(
  options: SubgraphServerOptions<Context>,
): Promise<SubgraphServer> {
  const server = new ApolloServer<Context>({
    schema: options.schema,
    // The gateway composes from files; SDL and introspection over HTTP are for development only.
    introspection: !options.production,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    // Only the gateway calls, with a JSON body and a token: there is no cookie to forge a request with.
    csrfPrevention: true,
    formatError: graphqlErrorFormatter(options.log),
    plugins: [
      fastifyApolloDrainPlugin<Context>(options.app),
      ApolloServerPluginLandingPageDisabled(),
      // Traces go by `traceparent`; Apollo's inline ones would only make every answer longer.
      ApolloServerPluginInlineTraceDisabled(),
      exactVariables,
      ...(options.plugins ?? []),
    ],
  });
  await server.start();
  // In a scope of its own: no other route has its bodies parsed so.
  await options.app.register(async (app) => {
    parseExactBodies(app);
    app.route({
      url: '/graphql',
      method: ['POST', 'OPTIONS'],
      handler: fastifyApolloHandler(server, {
        context: async (request) => {
          try {
            return options.context(await requestContext(request, options.verifyToken));
          } catch (error) {
            // Apollo answers 500 to anything but a GraphQLError from here.
            const known = presentable(error);
            throw known ? toGraphQLError(known) : error;
          }
        },
      }),
    });
  });
  return { execute: createLocalExecution(options), stop: () => server.stop() };
}
