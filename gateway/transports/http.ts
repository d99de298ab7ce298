/**
 * The graph over HTTP: the route `/graphql` with its methods, bodies and origins, and the page of
 * Apollo Sandbox in development. request-pipeline.ts answers the requests.
 */
import cors from '@fastify/cors';
import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify';
import { METHODS } from 'node:http';
import type { GraphLimits } from '../../platform/config/gateway-settings.js';
import { FleetgraphError } from '../../platform/errors.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import type { ClientAddressOf } from '../client-address.js';
import { cacheObserver } from '../gateway-metrics.js';
import { crossSiteMessage, isSimpleContentType } from '../guards/cross-site.js';
import type { ParseJson } from '../guards/json.js';
import type { KnownOperations } from '../guards/known-operations.js';
import { refuseLargeVariables } from '../guards/variables-size.js';
import type { FormatError } from '../present-error.js';
import { createContext } from '../request-context.js';
import { createAdmission } from './admission.js';
import type { ExecuteOnce } from './execute-once.js';
import { createRequestPipeline } from './request-pipeline.js';
import { createHttpAnswers } from './http-answer.js';
import { refuseUnreadableBody, textOfBody } from './http-body.js';
import { createRefusals, RequestFault } from './http-refusal.js';
import { headerOf, isSafeMethod, isRecord } from './http-request.js';
import { createHttpStreams, type HttpStreams, type HttpStreamsOptions } from './http-streams.js';
import { createLandingPage, prefersPage } from './landing-page.js';
import type { FindOperation } from './operations.js';
import { createPersistedQueries } from './persisted-queries.js';

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
  /** Operations that clients may name by their id. */
  readonly knownOperations: KnownOperations | undefined;
  readonly transport: Omit<HttpStreamsOptions, 'refusals'> & {
    readonly findOperation: FindOperation;
    readonly executeOnce: ExecuteOnce;
    readonly formatError: FormatError;
  };
}

const paths = ['/graphql', '/graphql/'];
const methods = ['GET', 'HEAD', 'POST', 'OPTIONS'];

/** Adds the route. @returns its streams, to be stopped before the server is. */
export async function addGraphQLRoute(options: GraphQLRouteOptions): Promise<HttpStreams> {
  const { app, verifyToken, production, parseJson, transport, graph } = options;
  const { executeOnce, findOperation, formatError, metrics } = transport;
  const refusals = createRefusals(formatError, metrics);
  const streams = createHttpStreams({ ...transport, refusals });
  const admit = createAdmission({
    findOperation,
    production,
    persisted: createPersistedQueries(options.knownOperations, cacheObserver(metrics, 'persisted_queries')),
    createContext: (request) =>
      createContext(
        {
          authorization: request.headers.authorization,
          consistencyToken: headerOf(request, 'x-fleetgraph-consistency'),
          traceparent: headerOf(request, 'traceparent'),
          correlationId: headerOf(request, 'x-correlation-id'),
          overrideLabels: graph.overrides.header === undefined ? undefined : headerOf(request, graph.overrides.header),
          clientAddress: options.clientAddressOf?.(request.socket.remoteAddress, headerOf(request, 'x-forwarded-for')),
        },
        verifyToken,
      ),
  });
  const pipeline = createRequestPipeline({
    admit,
    executeOnce,
    streams,
    refusals,
    parseJson,
    production,
    answers: createHttpAnswers({
      refusals,
      production,
      maxBatch: graph.batch,
      overridesHeader: graph.overrides.header,
    }),
  });
  const landingPage = production ? undefined : await createLandingPage();

  const parseBody = (text: string): unknown => {
    const parsed = text === '' ? undefined : parseJson(text, 'The body');
    refuseLargeVariables(text.length - queryLength(parsed), graph.variablesBytes);
    return parsed;
  };

  // In a scope of its own: no other route may be read by pages of other origins.
  await app.register(async (scope) => {
    await scope.register(cors, {
      origin: production ? false : developmentOrigins,
      methods: ['GET', 'POST'],
      maxAge: 86_400,
      // The OPTIONS route below answers, because not every OPTIONS is a preflight.
      strictPreflight: false,
      preflightContinue: true,
    });
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, ({ headers }, bytes, done) => {
      try {
        const text = textOfBody(bytes, headers, graph.bodyBytes);
        if (typeof text === 'string') done(null, parseBody(text));
        else return text.then(parseBody);
      } catch (error) {
        done(error as FleetgraphError);
      }
      return undefined;
    });
    scope.addHook('preParsing', (request, _reply, _payload, done) => {
      try {
        if (!isSafeMethod(request)) refuseUnreadableBody(request.headers);
        done();
      } catch (error) {
        done(error as Error);
      }
    });
    scope.setErrorHandler<FastifyError | FleetgraphError>((error, request, reply) =>
      pipeline.refuse(request, reply, requestFault(error, request)),
    );
    for (const method of METHODS) if (!scope.supportedMethods.includes(method)) scope.addHttpMethod(method);
    const others = scope.supportedMethods.filter((method) => !methods.includes(method));
    const allow = methods.join(', ');
    for (const url of paths) {
      // Fastify adds HEAD to GET.
      scope.route({
        url,
        method: ['GET', 'POST'],
        async handler(request, reply) {
          if (landingPage && isSafeMethod(request) && prefersPage(request.headers.accept))
            return reply.type('text/html; charset=utf-8').send(await landingPage());
          return pipeline.answer(request, reply);
        },
      });
      scope.options(url, async (_request, reply) =>
        // Without a length Safari waits for a body.
        reply.code(204).headers({ allow, 'content-length': '0' }).send(),
      );
      scope.route({
        url,
        method: others,
        onRequest: async (request) => {
          const message = `${request.method} is not a method of this path. Send POST, or GET for a query.`;
          throw new RequestFault(message, 405, { allow });
        },
        handler: async () => undefined,
      });
    }
  });
  return streams;
}

function queryLength(body: unknown): number {
  const query = isRecord(body) ? body['query'] : undefined;
  return typeof query === 'string' ? query.length : 0;
}

/** What is wrong with the request, before it was looked at as GraphQL. */
function requestFault(error: FastifyError | FleetgraphError, { headers }: FastifyRequest): Error {
  if (error instanceof FleetgraphError) return error;
  switch (error.statusCode) {
    case 413:
      return new FleetgraphError('PAYLOAD_TOO_LARGE', error.message, { cause: error });
    case 415:
      return isSimpleContentType(headers['content-type'] ?? '')
        ? new FleetgraphError('BAD_USER_INPUT', crossSiteMessage)
        : new RequestFault('Send the operation as JSON, with "content-type: application/json".', 415);
    default:
      return (error.statusCode ?? 500) < 500
        ? new FleetgraphError('BAD_USER_INPUT', error.message, { cause: error })
        : error;
  }
}
