/**
 * The graph over HTTP: `POST /graphql`, `GET /graphql` for queries, and Apollo Sandbox for a browser that comes by on a
 * development machine. Clients that ask for a stream get one (http-streams.ts); all others one answer (http-answer.ts).
 */
import cors from '@fastify/cors';
import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify';
import type { GraphLimits } from '../../platform/config/gateway-settings.js';
import { FleetgraphError } from '../../platform/errors.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import { hasTracer, inSpan } from '../../platform/observability/trace-context.js';
import { crossSiteMessage, isSimpleContentType } from '../guards/cross-site.js';
import type { ParseJson } from '../guards/json.js';
import type { ClientAddressOf } from '../client-address.js';
import type { KnownOperations } from '../guards/known-operations.js';
import { deadlineOfBody } from '../guards/slow-body.js';
import { refuseLargeVariables } from '../guards/variables-size.js';
import { createContext, type GatewayContext } from '../request-context.js';
import { createHttpAnswers, type HttpAnswersOptions } from './http-answer.js';
import { isRecord } from './http-request.js';
import { createHttpStreams, type HttpStreams, type HttpStreamsOptions } from './http-streams.js';
import { createLandingPage, prefersPage } from './landing-page.js';
import { httpOperationOf } from './stream-request.js';

/** Where pages may come from that call the API on a development machine: Apollo Sandbox and local front ends. */
const developmentOrigins = [
  /^https:\/\/(studio|sandbox\.embed)\.apollographql\.com$/,
  /^http:\/\/(localhost|127\.0\.0\.1)(:\d+)?$/,
];

export interface GraphQLRouteOptions {
  readonly app: FastifyInstance;
  /** Undefined: nobody is asked who they are. */
  readonly verifyToken: VerifyToken | undefined;
  readonly production: boolean;
  readonly parseJson: ParseJson;
  readonly clientAddressOf: ClientAddressOf;
  readonly graph: GraphLimits;
  readonly knownOperations: KnownOperations | undefined;
  /** What streams and single answers have in common. */
  readonly transport: Omit<HttpStreamsOptions, 'createContext'> & Pick<HttpAnswersOptions, 'executeOnce'>;
}

/** Adds the route. @returns its streams, to be stopped before the server is. */
export async function addGraphQLRoute(options: GraphQLRouteOptions): Promise<HttpStreams> {
  const { app, verifyToken, production, parseJson, transport, graph, knownOperations } = options;
  const contextOf = async (request: FastifyRequest): Promise<GatewayContext> =>
    createContext(
      {
        authorization: request.headers.authorization,
        consistencyToken: headerOf(request, 'x-fleetgraph-consistency'),
        traceparent: headerOf(request, 'traceparent'),
        correlationId: headerOf(request, 'x-correlation-id'),
        clientAddress: options.clientAddressOf?.(request.socket.remoteAddress, headerOf(request, 'x-forwarded-for')),
      },
      verifyToken,
    );
  const streams = createHttpStreams({
    ...transport,
    async createContext(request) {
      if (!production && request.headers.authorization === undefined) {
        const found = transport.findOperation(httpOperationOf(request));
        if ('document' in found && found.asksForSchemaOnly) return { forwarded: {} };
      }
      return contextOf(request);
    },
  });
  const answers = createHttpAnswers({
    ...{ ...transport, createContext: contextOf, production, parseJson, maxBatch: graph.batch, knownOperations },
  });
  const landingPage = production ? undefined : await createLandingPage();
  // In a scope of its own: no other route may be read by pages of other origins.
  await app.register(async (scope) => {
    await scope.register(cors, {
      origin: production ? false : developmentOrigins,
      methods: ['GET', 'POST'],
      maxAge: 86_400,
    });
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (_request, body, done) => {
      try {
        const parsed = body === '' ? undefined : parseJson(body, 'The body');
        refuseLargeVariables(body.length - queryLength(parsed), graph.variablesBytes);
        done(null, parsed);
      } catch (error) {
        done(error as FleetgraphError);
      }
    });
    scope.addHook('preParsing', deadlineOfBody(graph.bodyTimeoutMs));
    scope.setErrorHandler<FastifyError | FleetgraphError>((error, request, reply) =>
      answers.refuse(request, reply, requestFault(error, request)),
    );
    scope.route({
      url: '/graphql',
      method: ['GET', 'POST'],
      async handler(request, reply) {
        if (await streams.answer(request, reply)) return reply;
        if (landingPage && request.method === 'GET' && prefersPage(request.headers.accept))
          return reply.type('text/html; charset=utf-8').send(await landingPage());
        if (!hasTracer()) return answers.answer(request, reply);
        const traceparent = headerOf(request, 'traceparent');
        return inSpan('graphql request', { traceparent }, async () => answers.answer(request, reply));
      },
    });
  });
  return streams;
}

function queryLength(body: unknown): number {
  const query = isRecord(body) ? body['query'] : undefined;
  return typeof query === 'string' ? query.length : 0;
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' && value.length <= 512 ? value : undefined;
}

/** What is wrong with the request, before it was looked at as GraphQL. */
function requestFault(
  error: FastifyError | FleetgraphError,
  { headers }: FastifyRequest,
): { readonly error: unknown; readonly status?: number } {
  if (error instanceof FleetgraphError) return { error };
  switch (error.statusCode) {
    case 413:
      return { error: new FleetgraphError('PAYLOAD_TOO_LARGE', error.message, { cause: error }) };
    case 415: {
      if (isSimpleContentType(headers['content-type'] ?? ''))
        return { error: new FleetgraphError('BAD_USER_INPUT', crossSiteMessage) };
      const message = 'Send the operation as JSON, with "content-type: application/json".';
      return { error: new FleetgraphError('BAD_USER_INPUT', message), status: 415 };
    }
    default:
      return (error.statusCode ?? 500) < 500
        ? { error: new FleetgraphError('BAD_USER_INPUT', error.message, { cause: error }) }
        : { error };
  }
}
