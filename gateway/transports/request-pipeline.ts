/**
 * The steps of a request over HTTP, in their order:
 *
 * 1. parse `Accept` (answer-format.ts) and the parameters (http-request.ts);
 * 2. verify the token and find the operation (admission.ts);
 * 3. choose the format of the answer, by the kind of the operation and by `Accept`;
 * 4. refuse what a page of another site could have sent (guards/cross-site.ts), by that format;
 * 5. run the operation, and answer with JSON (http-answer.ts) or a stream (http-streams.ts).
 *
 * http-refusal.ts answers what is refused. Once a stream has begun, it carries the error itself.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OperationTypeNode } from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';
import { inRecordedSpan } from '../../platform/observability/trace-context.js';
import type { CancelSignal } from '../execution/cancellation.js';
import type { Answer } from '../execution/response/answer.js';
import { couldComeFromAnotherSite, couldOpenStreamFromAnotherSite, crossSiteMessage } from '../guards/cross-site.js';
import type { ParseJson } from '../guards/json.js';
import type { FetchTiming } from '../request-context.js';
import type { Admit, Admitted } from './admission.js';
import { createAcceptanceOf, errorTypeFor, streamFor, type Acceptance } from './answer-format.js';
import type { ExecuteOnce } from './execute-once.js';
import { cancelSignalOf, type HttpAnswers } from './http-answer.js';
import { OperationFault, RequestFault, type Refusals } from './http-refusal.js';
import { headerOf, isSafeMethod, lastEventIdOf, parametersOf, parametersOfBody } from './http-request.js';
import type { StreamFormat } from './http-stream.js';
import type { HttpStreams } from './http-streams.js';
import type { KnownOperation } from './operations.js';

/** Apollo Sandbox sends it to see the plan of an operation. */
const planHeader = 'apollo-expose-query-plan';

export interface RequestPipeline {
  answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>;
  /** Answers a request that failed before its parameters were parsed. */
  refuse(request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply;
}

export interface RequestPipelineOptions {
  readonly admit: Admit;
  readonly executeOnce: ExecuteOnce;
  readonly answers: HttpAnswers;
  readonly streams: HttpStreams;
  readonly refusals: Refusals;
  readonly parseJson: ParseJson;
  /** In production, answers never show plans. */
  readonly production: boolean;
}

/** Begins the stream of a subscription. */
type Begin = () => Promise<void>;

export function createRequestPipeline(options: RequestPipelineOptions): RequestPipeline {
  const { admit, answers, streams, refusals, parseJson, production } = options;
  const acceptanceOf = createAcceptanceOf();
  const acceptedBy = ({ method, headers }: FastifyRequest): Acceptance => {
    const acceptance = acceptanceOf(headers.accept);
    // HEAD has no body, so it opens no stream.
    return method === 'HEAD' && acceptance.stream
      ? { ...acceptance, stream: undefined, prefersStream: false }
      : acceptance;
  };

  const execute = (
    request: FastifyRequest,
    { parameters, context }: Admitted,
    operation: KnownOperation,
    signal: CancelSignal,
    timings?: FetchTiming[],
  ): Promise<Answer> => {
    const { variables, extensions } = parameters;
    return options.executeOnce({
      operation,
      variables,
      signal,
      wantsCost: extensions['cost'] === true,
      context: timings ? { ...context, timings } : context,
      wantsPlan: !production && (extensions['queryPlan'] === true || request.headers[planHeader] === 'true'),
    });
  };

  const answerBatch = (
    request: FastifyRequest,
    reply: FastifyReply,
    { json }: Acceptance,
    batch: readonly unknown[],
  ): Promise<FastifyReply> => {
    if (!json) throw notAcceptable();
    const signal = cancelSignalOf(reply);
    return answers.batch(reply, json, batch, async (one) => {
      const admitted = await admit(request, parametersOfBody(one));
      const { found } = admitted;
      if (found instanceof OperationFault) throw found;
      refuseSubscription(found);
      return execute(request, admitted, found, signal);
    });
  };

  const answerOne = (
    request: FastifyRequest,
    reply: FastifyReply,
    { json }: Acceptance,
    admitted: Admitted,
    signal: CancelSignal,
  ): Promise<FastifyReply> => {
    const { found } = admitted;
    if (found instanceof OperationFault) throw found;
    refuseMutationByRead(request, found);
    if (!found.asksForSchemaOnly && isSafeMethod(request) && couldComeFromAnotherSite(request.headers))
      throw new FleetgraphError('BAD_USER_INPUT', crossSiteMessage);
    refuseSubscription(found);
    if (!json) throw notAcceptable();
    return answers.one(reply, json, (_asked, timings) => execute(request, admitted, found, signal, timings));
  };

  const streamOne = async (
    request: FastifyRequest,
    reply: FastifyReply,
    format: StreamFormat,
    admitted: Admitted,
    signal: CancelSignal,
  ): Promise<Begin | undefined> => {
    if (couldOpenStreamFromAnotherSite(request.headers)) throw new FleetgraphError('BAD_USER_INPUT', crossSiteMessage);
    const { found, context, parameters } = admitted;
    const isFault = found instanceof OperationFault;
    if (!isFault && found.isSubscription) {
      const { variables } = parameters;
      const since = lastEventIdOf(request);
      return () => streams.subscribe(reply, format, { operation: found, variables, context, since });
    }
    await streams.answer(reply, format, context, async () => {
      if (isFault) throw found;
      refuseMutationByRead(request, found);
      return execute(request, admitted, found, signal);
    });
    return undefined;
  };

  /** Never rejects: what is wrong is answered. */
  const respond = async (
    request: FastifyRequest,
    reply: FastifyReply,
    acceptance: Acceptance,
  ): Promise<Begin | undefined> => {
    try {
      const { body } = request;
      if (!acceptance.json && !acceptance.stream) throw notAcceptable();
      if (!isSafeMethod(request) && Array.isArray(body)) {
        await answerBatch(request, reply, acceptance, body);
        return undefined;
      }
      const signal = cancelSignalOf(reply);
      const admitted = await admit(request, parametersOf(request, parseJson));
      const { found } = admitted;
      const isSubscription = !(found instanceof OperationFault) && found.isSubscription;
      const format = streamFor(acceptance, isSubscription);
      if (format) return await streamOne(request, reply, format, admitted, signal);
      await answerOne(request, reply, acceptance, admitted, signal);
    } catch (error) {
      refusals.refuse(reply, errorTypeFor(acceptance), error);
    }
    return undefined;
  };

  return {
    async answer(request, reply) {
      const acceptance = acceptedBy(request);
      try {
        const traceparent = headerOf(request, 'traceparent');
        const begin = await inRecordedSpan('graphql request', { traceparent }, () =>
          respond(request, reply, acceptance),
        );
        // Outside of the span, because a subscription may run for days.
        await begin?.();
      } catch (error) {
        refusals.refuse(reply, errorTypeFor(acceptance), error);
      }
      return reply;
    },
    refuse: (request, reply, error) => refusals.refuse(reply, errorTypeFor(acceptedBy(request)), error),
  };
}

function refuseMutationByRead(request: FastifyRequest, { operation }: KnownOperation): void {
  if (isSafeMethod(request) && operation.operation === OperationTypeNode.MUTATION)
    throw new RequestFault('A mutation has to be sent with POST.', 405, { allow: 'POST' });
}

/** For answers that are no stream. */
function refuseSubscription({ isSubscription }: KnownOperation): void {
  if (isSubscription)
    throw new RequestFault(
      'A subscription is answered over a WebSocket, or as a stream: send "accept: text/event-stream" or "accept: multipart/mixed;subscriptionSpec=1.0".',
      400,
    );
}

function notAcceptable(): RequestFault {
  return new RequestFault(
    'The answer is "application/graphql-response+json" or "application/json". Send an "accept" header with one of them.',
    406,
  );
}
