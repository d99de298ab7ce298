/**
 * One answer to one request over HTTP: who asks, what for, and then the text of the answer in the media type that the client
 * takes, with the status that the specification wants.
 * Source: https://graphql.github.io/graphql-over-http/draft/#sec-Status-Codes
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OperationTypeNode, type GraphQLError, type GraphQLFormattedError } from 'graphql';
import { errorCodes, FleetgraphError, type ErrorCode } from '../../platform/errors.js';
import { couldComeFromAnotherSite, crossSiteMessage } from '../guards/cross-site.js';
import type { ParseJson } from '../guards/json.js';
import type { KnownOperations } from '../guards/known-operations.js';
import { cacheObserver, type GatewayMetrics } from '../gateway-metrics.js';
import type { FetchTiming, GatewayContext } from '../request-context.js';
import { answerOf, type Answer } from '../execution/response/answer.js';
import { createAnswerTypes, plainJson, type AnswerType } from './answer-type.js';
import type { ExecuteOnce } from './execute-once.js';
import { parametersOfBody, parametersOfUrl, type HttpParameters } from './http-request.js';
import type { FindOperation, KnownOperation } from './operations.js';
import { serverTiming } from './server-timing.js';
import { createPersistedQueries } from './persisted-queries.js';
import { presentError, type FormatError } from '../present-error.js';

/** By which Apollo Sandbox asks for the plan of an operation. */
const planHeader = 'apollo-expose-query-plan';

export interface HttpAnswers {
  /** Answers the request. */
  answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>;
  /** Says what is wrong with it. */
  refuse(request: FastifyRequest, reply: FastifyReply, fault: Fault): FastifyReply;
}

export interface HttpAnswersOptions {
  readonly findOperation: FindOperation;
  readonly executeOnce: ExecuteOnce;
  /** The context of an operation. @throws FleetgraphError UNAUTHENTICATED without a good token. */
  readonly createContext: (request: FastifyRequest) => Promise<GatewayContext>;
  readonly formatError: FormatError;
  readonly metrics: GatewayMetrics;
  readonly parseJson: ParseJson;
  /** Outside of it the schema may be asked for without a token: tools ask before anyone has given them one. */
  readonly production: boolean;
  /** Operations in one request; 1: batches are refused. */
  readonly maxBatch: number;
  /** Operations that may be asked for by their id. */
  readonly knownOperations: KnownOperations | undefined;
}

export interface Fault {
  readonly error: unknown;
  /** Where the status of the code is not what HTTP has for it. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Thrown for what HTTP has a status of its own for. */
class RequestFault extends Error {
  readonly fault: Fault;
  constructor(message: string, status: number, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.fault = { error: new FleetgraphError('BAD_USER_INPUT', message), status, headers };
  }
}

/** The operation was looked at as GraphQL, and is refused. */
class OperationFault extends Error {
  readonly errors: readonly GraphQLError[];
  constructor(errors: readonly GraphQLError[]) {
    super('The operation is refused.');
    this.errors = errors;
  }
}

export function createHttpAnswers(options: HttpAnswersOptions): HttpAnswers {
  const { findOperation, executeOnce, createContext, formatError, metrics, production } = options;
  const answerTypeOf = createAnswerTypes();
  const persisted = createPersistedQueries(options.knownOperations, cacheObserver(metrics, 'persisted_queries'));

  const present = (error: unknown): GraphQLFormattedError => presentError(error, formatError);

  const find = (parameters: HttpParameters): KnownOperation => {
    const query = persisted.textOf(parameters);
    const found = findOperation({ query, operationName: parameters.operationName });
    if ('document' in found) return found;
    throw new OperationFault(found);
  };

  /** Who asks, and for what. A token is looked at before anything that the client may choose to be costly. */
  const admit = async (
    request: FastifyRequest,
    parameters: HttpParameters,
  ): Promise<{ context: GatewayContext; operation: KnownOperation }> => {
    const found = !production && request.headers.authorization === undefined ? find(parameters) : undefined;
    if (found?.asksForSchemaOnly === true) return { context: { forwarded: {} }, operation: found };
    const context = await createContext(request);
    // Looked up once: what is looked up twice counts as what clients use.
    return { context, operation: found ?? find(parameters) };
  };

  const execute = async (
    request: FastifyRequest,
    parameters: HttpParameters,
    signal: AbortSignal,
    timings?: FetchTiming[],
  ): Promise<Answer> => {
    const { context: known, operation } = await admit(request, parameters);
    const context = timings ? { ...known, timings } : known;
    if (request.method === 'GET') refuseByGet(request, operation);
    if (operation.isSubscription)
      throw new RequestFault(
        'A subscription is answered over a WebSocket, or as a stream: send "accept: text/event-stream" or "accept: multipart/mixed;subscriptionSpec=1.0".',
        400,
      );
    const { variables, extensions } = parameters;
    return executeOnce({
      ...{ operation, variables, context, signal, wantsCost: extensions['cost'] === true },
      wantsPlan: !production && (extensions['queryPlan'] === true || request.headers[planHeader] === 'true'),
    });
  };

  const send = (reply: FastifyReply, type: AnswerType, status: number, body: string | Buffer): FastifyReply =>
    reply.code(status).header('content-type', type.contentType).send(body);

  const refuse = (reply: FastifyReply, type: AnswerType, { error, status, headers }: Fault): FastifyReply => {
    metrics.requests.inc({ type: 'unknown', outcome: 'error' });
    const errors = error instanceof OperationFault ? error.errors.map(present) : [present(error)];
    const code = errors[0]?.extensions?.['code'];
    const isOfOperation = error instanceof OperationFault || code === 'PERSISTED_QUERY_NOT_FOUND';
    const known = status ?? (isOfOperation && type.isAlwaysOk ? 200 : statusOf(code));
    if (known === 503) void reply.header('retry-after', '1');
    if (headers) void reply.headers(headers);
    void reply.header('cache-control', 'no-store');
    return send(reply, type, known, answerOf(undefined, errors).text);
  };

  const answerOne = async (request: FastifyRequest, reply: FastifyReply, type: AnswerType): Promise<FastifyReply> => {
    const signal = goneOf(reply);
    const parameters =
      request.method === 'GET' ? parametersOfUrl(request.query, options.parseJson) : parametersOfBody(request.body);
    const startedAt = performance.now();
    const timings: FetchTiming[] | undefined = production ? undefined : [];
    const answer = await execute(request, parameters, signal, timings);
    void reply.header('cache-control', answer.cacheControl ?? 'no-store');
    if (answer.cacheControl !== undefined) vary(reply, 'accept, authorization');
    if (timings) void reply.header('server-timing', serverTiming(startedAt, timings));
    return send(reply, type, statusOfAnswer(answer, type), answer.body);
  };

  const answerBatch = async (
    request: FastifyRequest,
    reply: FastifyReply,
    type: AnswerType,
    batch: readonly unknown[],
  ): Promise<FastifyReply> => {
    const { maxBatch } = options;
    if (maxBatch === 1 || batch.length > maxBatch || batch.length === 0)
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        maxBatch === 1
          ? 'Batches are not taken. Send one operation with each request.'
          : `A batch has 1 to ${maxBatch} operations; this one has ${batch.length}.`,
      );
    const signal = goneOf(reply);
    const texts = await Promise.all(
      batch.map(async (one) => {
        try {
          return (await execute(request, parametersOfBody(one), signal)).text;
        } catch (error) {
          const { error: cause } = faultOf(error);
          if (cause instanceof FleetgraphError && cause.code === 'UNAUTHENTICATED') throw cause;
          return answerOf(undefined, cause instanceof OperationFault ? cause.errors.map(present) : [present(cause)])
            .text;
        }
      }),
    );
    return send(reply, type, 200, `[${texts.join(',')}]`);
  };

  return {
    async answer(request, reply) {
      const type = answerTypeOf(request.headers.accept);
      try {
        if (!type)
          throw new RequestFault(
            'The answer is "application/graphql-response+json" or "application/json". Send an "accept" header with one of them.',
            406,
          );
        return Array.isArray(request.body) && request.method === 'POST'
          ? await answerBatch(request, reply, type, request.body)
          : await answerOne(request, reply, type);
      } catch (error) {
        return refuse(reply, type ?? plainJson, faultOf(error));
      }
    },
    refuse: (request, reply, fault) => refuse(reply, answerTypeOf(request.headers.accept) ?? plainJson, fault),
  };
}

function refuseByGet({ headers }: FastifyRequest, { operation, asksForSchemaOnly }: KnownOperation): void {
  if (operation.operation === OperationTypeNode.MUTATION)
    throw new RequestFault('A mutation has to be sent with POST.', 405, { allow: 'POST' });
  if (!asksForSchemaOnly && couldComeFromAnotherSite(headers))
    throw new FleetgraphError('BAD_USER_INPUT', crossSiteMessage);
}

/** A cache has another answer for those who differ in these headers, beside those that it has been told of. */
function vary(reply: FastifyReply, headers: string): void {
  const known = reply.getHeader('vary');
  void reply.header('vary', known === undefined ? headers : `${String(known)}, ${headers}`);
}

/** Aborted when the client goes before it has its answer. */
function goneOf({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort();
  });
  return gone.signal;
}

function statusOfAnswer({ hasData, errors }: Answer, { isAlwaysOk }: AnswerType): number {
  return hasData || isAlwaysOk ? 200 : statusOf(errors[0]?.extensions?.['code']);
}

function statusOf(code: unknown): number {
  if (code === 'PERSISTED_QUERY_NOT_FOUND') return 200;
  return typeof code === 'string' && Object.hasOwn(errorCodes, code) ? errorCodes[code as ErrorCode].httpStatus : 500;
}

function faultOf(error: unknown): Fault {
  return error instanceof RequestFault ? error.fault : { error };
}
