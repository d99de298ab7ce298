/**
 * Answers in one piece: the result of an operation as JSON, with the media type that the client
 * accepts and the status that the specification wants; or an array of results, for a batch.
 * Source: https://graphql.github.io/graphql-over-http/draft/#sec-Response
 */
import type { FastifyReply } from 'fastify';
import { FleetgraphError } from '../../platform/errors.js';
import { Cancellation, type CancelSignal } from '../execution/cancellation.js';
import { answerOf, type Answer } from '../execution/response/answer.js';
import type { FetchTiming } from '../request-context.js';
import type { AnswerType } from './answer-format.js';
import { statusOf, type Refusals } from './http-refusal.js';
import { serverTiming } from './server-timing.js';

/** Runs an operation. @throws the error that refuses the request or its operation */
type Execute<Asked> = (asked: Asked, timings?: FetchTiming[]) => Promise<Answer>;

export interface HttpAnswers {
  one(reply: FastifyReply, type: AnswerType, execute: Execute<void>): Promise<FastifyReply>;
  /** @throws FleetgraphError BAD_USER_INPUT, UNAUTHENTICATED: the batch is refused as a whole. */
  batch(
    reply: FastifyReply,
    type: AnswerType,
    batch: readonly unknown[],
    execute: Execute<unknown>,
  ): Promise<FastifyReply>;
}

/** From this length on it costs more to make a text of the bytes than to write them apart. */
const longBytes = 16_384;

export function createHttpAnswers(options: {
  refusals: Refusals;
  /** In development, answers have a `server-timing` header. */
  production: boolean;
  /** Operations in one request; 1: batches are refused. */
  maxBatch: number;
  /** Header on which labels of `@override`, and so the subgraphs of an answer, depend. */
  overridesHeader: string | undefined;
}): HttpAnswers {
  const { refusals, production, maxBatch, overridesHeader } = options;
  const varyingHeaders = ['accept, authorization', ...(overridesHeader === undefined ? [] : [overridesHeader])].join(
    ', ',
  );

  const send = (reply: FastifyReply, type: AnswerType, status: number, body: string | Buffer): FastifyReply => {
    // The client has disconnected.
    if (reply.raw.destroyed) return reply.hijack();
    return reply.code(status).header('content-type', type.contentType).send(body);
  };

  return {
    async one(reply, type, execute) {
      const startedAt = performance.now();
      const timings: FetchTiming[] | undefined = production ? undefined : [];
      const answer = await execute(undefined, timings);
      void reply.header('cache-control', answer.cacheControl ?? 'no-store');
      if (answer.cacheControl !== undefined) vary(reply, varyingHeaders);
      if (timings) void reply.header('server-timing', serverTiming(startedAt, timings));
      // A short text goes to the socket with the headers, in one piece.
      const body = answer.body.length < longBytes ? answer.text : answer.body;
      return send(reply, type, statusOfAnswer(answer, type), body);
    },

    async batch(reply, type, batch, execute) {
      if (maxBatch === 1 || batch.length > maxBatch || batch.length === 0)
        throw new FleetgraphError(
          'BAD_USER_INPUT',
          maxBatch === 1
            ? 'Batches are not taken. Send one operation with each request.'
            : `A batch has 1 to ${maxBatch} operations; this one has ${batch.length}.`,
        );
      const texts = await Promise.all(
        batch.map(async (one) => {
          try {
            return (await execute(one)).text;
          } catch (error) {
            if (error instanceof FleetgraphError && error.code === 'UNAUTHENTICATED') throw error;
            return answerOf(undefined, refusals.errorsOf(reply, error)).text;
          }
        }),
      );
      return send(reply, type, 200, `[${texts.join(',')}]`);
    },
  };
}

/** Aborted when the client disconnects before it has the whole answer. */
export function cancelSignalOf({ raw }: FastifyReply): CancelSignal {
  const gone = new Cancellation();
  if (raw.destroyed) gone.abort();
  raw.on('close', () => {
    if (!raw.writableFinished) gone.abort();
  });
  return gone;
}

/** A cache has another answer for those who differ in these headers, beside those that it has been told of. */
function vary(reply: FastifyReply, headers: string): void {
  const known = reply.getHeader('vary');
  void reply.header('vary', known === undefined ? headers : `${String(known)}, ${headers}`);
}

function statusOfAnswer({ hasData, errors }: Answer, { isAlwaysOk }: AnswerType): number {
  return hasData || isAlwaysOk ? 200 : statusOf(errors[0]?.extensions?.['code']);
}
