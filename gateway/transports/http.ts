/**
 * The graph over HTTP: `POST /graphql`, `GET /graphql` for queries, and Apollo Sandbox for a browser that comes by.
 * Clients that ask for a stream get one (http-streams.ts).
 */
import type { ApolloServer, ApolloServerPlugin } from '@apollo/server';
import { ApolloServerPluginLandingPageDisabled } from '@apollo/server/plugin/disabled';
import { ApolloServerPluginLandingPageLocalDefault } from '@apollo/server/plugin/landingPage/default';
import {
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { fastifyApolloDrainPlugin, fastifyApolloHandler } from '@as-integrations/fastify';
import cors from '@fastify/cors';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Kind, parse } from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';
import { toGraphQLError } from '../../platform/graphql/errors.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import { inSpan } from '../../platform/observability/trace-context.js';
import { createContext, type GatewayContext } from '../request-context.js';
import { createHttpStreams, type HttpStreams, type HttpStreamsOptions } from './http-streams.js';

/** Where pages may come from that call the API on a development machine: Apollo Sandbox and local front ends. */
const developmentOrigins = [
  /^https:\/\/(studio|sandbox\.embed)\.apollographql\.com$/,
  /^http:\/\/(localhost|127\.0\.0\.1)(:\d+)?$/,
];

/** Plugins of Apollo Server that belong to this transport. */
export function httpPlugins({
  app,
  production,
}: {
  app: FastifyInstance;
  production: boolean;
}): ApolloServerPlugin<GatewayContext>[] {
  return [
    fastifyApolloDrainPlugin<GatewayContext>(app),
    production
      ? ApolloServerPluginLandingPageDisabled()
      : ApolloServerPluginLandingPageLocalDefault({ embed: true, footer: false }),
    ApolloServerPluginInlineTraceDisabled(),
    ApolloServerPluginUsageReportingDisabled(),
  ];
}

/** Adds the route. @returns its streams, to be stopped before the server is. */
export async function addGraphQLRoute(options: {
  app: FastifyInstance;
  server: ApolloServer<GatewayContext>;
  verifyToken: VerifyToken;
  production: boolean;
  streams: Omit<HttpStreamsOptions, 'createContext'>;
}): Promise<HttpStreams> {
  const { app, server, verifyToken, production } = options;
  const context = (request: FastifyRequest) => contextOf(request, verifyToken, production);
  const handle = fastifyApolloHandler(server, { context });
  const streams = createHttpStreams({ ...options.streams, createContext: context });
  // In a scope of its own: no other route may be read by pages of other origins.
  await app.register(async (scope) => {
    await scope.register(cors, {
      origin: production ? false : developmentOrigins,
      methods: ['GET', 'POST'],
      maxAge: 86_400,
    });
    scope.route({
      url: '/graphql',
      method: ['GET', 'POST'],
      async handler(request, reply) {
        if (await streams.answer(request, reply)) return reply;
        const traceparent = headerOf(request, 'traceparent');
        return inSpan('graphql request', { traceparent }, async () => handle.call(app, request, reply));
      },
    });
  });
  return streams;
}

async function contextOf(
  request: FastifyRequest,
  verifyToken: VerifyToken,
  production: boolean,
): Promise<GatewayContext> {
  try {
    if (!production && request.headers.authorization === undefined && isIntrospection(request))
      return { forwarded: {} };
    return await createContext(
      {
        authorization: request.headers.authorization,
        consistencyToken: headerOf(request, 'x-fleetgraph-consistency'),
        traceparent: headerOf(request, 'traceparent'),
        correlationId: headerOf(request, 'x-correlation-id'),
      },
      verifyToken,
    );
  } catch (error) {
    // Thrown as it is, Apollo would take it for a defect of ours and answer 500.
    throw error instanceof FleetgraphError ? toGraphQLError(error) : error;
  }
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' && value.length <= 512 ? value : undefined;
}

/** Whether the operation asks for the schema only: tools ask before anyone has given them a token. */
function isIntrospection(request: FastifyRequest): boolean {
  const { query } = (request.method === 'GET' ? request.query : (request.body ?? {})) as { query?: unknown };
  if (typeof query !== 'string') return false;
  try {
    const operations = parse(query, { maxLexicalTokens: 5_000 }).definitions.filter(
      (definition) => definition.kind === Kind.OPERATION_DEFINITION,
    );
    return (
      operations.length > 0 &&
      operations.every(({ selectionSet }) =>
        selectionSet.selections.every(
          (selection) => selection.kind === Kind.FIELD && selection.name.value.startsWith('__'),
        ),
      )
    );
  } catch {
    return false;
  }
}
