/**
 * Refuses requests over HTTP: with errors of GraphQL, in a media type that the client accepts, and
 * with the status that the specification has for the fault.
 * Source: https://graphql.github.io/graphql-over-http/draft/#sec-Status-Codes
 */
import type { FastifyReply } from 'fastify';
import type { GraphQLFormattedError } from 'graphql';
import { errorCodes, FleetgraphError, type ErrorCode } from '../../platform/errors.js';
import { answerOf } from '../execution/response/answer.js';
import type { GatewayMetrics } from '../gateway-metrics.js';
import { presentError, type FormatError } from '../present-error.js';
import type { AnswerType } from './answer-format.js';

/** A fault of the request whose status differs from the one of its code. */
export class RequestFault extends FleetgraphError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(message: string, status: number, headers: Readonly<Record<string, string>> = {}) {
    super('BAD_USER_INPUT', message);
    this.status = status;
    this.headers = headers;
  }
}

/** The request is well-formed, but its operation is refused. */
export class OperationFault extends Error {
  readonly errors: readonly unknown[];
  /** Whether the fault is in the document: then clients of `application/json` get status 200. */
  readonly isInvalidDocument: boolean;

  constructor(errors: readonly unknown[], isInvalidDocument: boolean) {
    super('The operation is refused.');
    this.errors = errors;
    this.isInvalidDocument = isInvalidDocument;
  }
}

export interface Refusals {
  /** Counts the refusal. @returns the errors that the client gets */
  errorsOf(reply: FastifyReply, error: unknown): readonly GraphQLFormattedError[];
  /** Answers the request with the error. */
  refuse(reply: FastifyReply, type: AnswerType, error: unknown): FastifyReply;
}

export function createRefusals(formatError: FormatError, metrics: GatewayMetrics): Refusals {
  const errorsOf: Refusals['errorsOf'] = ({ raw }, error) => {
    const isClosed = raw.destroyed || raw.req.readableAborted;
    metrics.requests.labels({ type: 'unknown', outcome: isClosed ? 'aborted' : 'error' }).inc();
    return (error instanceof OperationFault ? error.errors : [error]).map((one) => presentError(one, formatError));
  };
  return {
    errorsOf,
    refuse(reply, type, error) {
      const errors = errorsOf(reply, error);
      const status = statusFor(error, errors, type);
      if (status === 503) void reply.header('retry-after', '1');
      if (error instanceof RequestFault) void reply.headers(error.headers);
      void reply.header('cache-control', 'no-store');
      return reply.code(status).header('content-type', type.contentType).send(answerOf(undefined, errors).text);
    },
  };
}

function statusFor(error: unknown, errors: readonly GraphQLFormattedError[], { isAlwaysOk }: AnswerType): number {
  if (error instanceof RequestFault) return error.status;
  if (error instanceof OperationFault && error.isInvalidDocument && isAlwaysOk) return 200;
  return statusOf(errors[0]?.extensions?.['code']);
}

/** The HTTP status of an error code. */
export function statusOf(code: unknown): number {
  // The client sends the text next.
  if (code === 'PERSISTED_QUERY_NOT_FOUND') return 200;
  return typeof code === 'string' && Object.hasOwn(errorCodes, code) ? errorCodes[code as ErrorCode].httpStatus : 500;
}
