/**
 * Streams over HTTP, for clients without WebSockets: which requests get one, how many there may be, for how long. A client
 * says by its `Accept` header what it wants: Server-Sent Events (sse.ts), Apollo's multipart protocol (multipart.ts), or
 * neither, and then the request is none of these.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OperationTypeNode, type GraphQLFormattedError } from 'graphql';
import { errorCodes, FleetgraphError, type ErrorCode } from '../../platform/errors.js';
import { pause } from '../../platform/lifecycle/wait.js';
import { inSpan } from '../../platform/observability/trace-context.js';
import type { GatewayMetrics } from '../gateway-metrics.js';
import type { GatewayContext } from '../request-context.js';
import type { SubscriptionEngine } from '../subscriptions/engine.js';
import { payloadOfText } from '../subscriptions/payload.js';
import type { ExecuteOnce } from './execute-once.js';
import { HttpStream, type StreamFormat } from './http-stream.js';
import { multipart } from './multipart.js';
import type { FindOperation, KnownOperation } from './operations.js';
import { presentError, type FormatError } from '../present-error.js';
import { sse } from './sse.js';
import {
  httpOperationOf,
  lastEventIdOf,
  mediaRangesOf,
  refuseSimpleRequest,
  type HttpOperation,
} from './stream-request.js';

export interface HttpStreams {
  /** Answers the request if it asks for a stream. @returns whether it did. */
  answer(request: FastifyRequest, reply: FastifyReply): Promise<boolean>;
  /** Refuses new streams, ends those of subscriptions, spread over `spreadMs`; other operations are still answered. */
  stop(spreadMs: number): Promise<void>;
}

export interface HttpStreamsOptions {
  readonly engine: SubscriptionEngine;
  readonly findOperation: FindOperation;
  /** Answers a query or mutation. */
  readonly executeOnce: ExecuteOnce;
  /** The context of an operation. @throws an error that `formatError` knows, without a good token. */
  readonly createContext: (request: FastifyRequest) => Promise<GatewayContext>;
  readonly formatError: FormatError;
  readonly metrics: GatewayMetrics;
  readonly limits: {
    /** Streams of all tenants. */
    readonly connections: number;
    readonly connectionsPerTenant: number;
  };
}

interface Admitted {
  readonly operation: HttpOperation;
  readonly context: GatewayContext;
  readonly since: string | undefined;
}

const formats = [sse, multipart];
const jsonTypes = new Set(['application/json', 'application/graphql-response+json', 'application/*', '*/*']);
const sweepMs = 250;
const closeTimeoutMs = 3_000;

export function createHttpStreams(options: HttpStreamsOptions): HttpStreams {
  const { engine, findOperation, executeOnce, formatError, metrics, limits } = options;
  const streams = new Set<HttpStream>();
  const ofTenant = new Map<string, number>();
  let isStopping = false;

  /** One timer for all. */
  const sweep = setInterval(() => {
    const now = Date.now();
    for (const stream of streams) stream.look(now);
  }, sweepMs);
  sweep.unref();

  const present = (error: unknown): GraphQLFormattedError => presentError(error, formatError);

  const admit = async (request: FastifyRequest): Promise<Admitted> => {
    refuseSimpleRequest(request);
    const context = await options.createContext(request);
    return { operation: httpOperationOf(request), context, since: lastEventIdOf(request) };
  };

  /** Takes a place for the stream until it closes. @throws FleetgraphError RATE_LIMITED, UNAVAILABLE */
  const openStream = (reply: FastifyReply, format: StreamFormat, { identity }: GatewayContext): HttpStream => {
    if (isStopping)
      throw new FleetgraphError('UNAVAILABLE', 'The gateway is stopping. Send the request again: another answers.');
    if (streams.size >= limits.connections) {
      metrics.refused.inc({ limit: 'connections' });
      throw new FleetgraphError('UNAVAILABLE', 'The gateway has all the streams that it can hold. Come again later.');
    }
    const tenant = identity?.tenant ?? '';
    const count = ofTenant.get(tenant) ?? 0;
    if (count >= limits.connectionsPerTenant) {
      metrics.refused.inc({ limit: 'connections_per_tenant' });
      throw new FleetgraphError('RATE_LIMITED', 'Too many streams of this tenant. Close some, or come again later.');
    }
    const stream = new HttpStream(reply.raw, format, identity?.expiresAtMs ?? Infinity);
    streams.add(stream);
    ofTenant.set(tenant, count + 1);
    reply.raw.once('close', () => {
      streams.delete(stream);
      const left = (ofTenant.get(tenant) ?? 1) - 1;
      if (left > 0) ofTenant.set(tenant, left);
      else ofTenant.delete(tenant);
    });
    return stream;
  };

  const findKnown = (operation: HttpOperation): KnownOperation | readonly GraphQLFormattedError[] => {
    try {
      const found = findOperation(operation);
      return 'document' in found ? found : found.map(present);
    } catch (error) {
      return [present(error)];
    }
  };

  const subscribe = (stream: HttpStream, known: KnownOperation, { operation, context, since }: Admitted): void => {
    if (!context.identity) throw new FleetgraphError('UNAUTHENTICATED', 'Send "Authorization: Bearer <token>".');
    const { variables } = operation;
    const plan = known.admit(context.identity, variables).subscriptionPlan();
    stream.follow(engine.subscribe({ plan, variables, context, since }, stream));
  };

  const answerTo = async (
    method: string,
    known: KnownOperation,
    { operation: { variables }, context }: Admitted,
  ): Promise<string> => {
    if (method === 'GET' && known.operation.operation === OperationTypeNode.MUTATION)
      throw new FleetgraphError('BAD_USER_INPUT', 'A mutation has to be sent with POST.');
    const traceparent = context.forwarded['traceparent'];
    const { text } = await inSpan('graphql request', { traceparent }, () =>
      executeOnce({ operation: known, variables, context }),
    );
    return text;
  };

  /** @throws what is to be told with a status, because the answer has not begun. */
  const stream = async (
    { method }: FastifyRequest,
    reply: FastifyReply,
    format: StreamFormat,
    known: KnownOperation | readonly GraphQLFormattedError[],
    admitted: Admitted,
  ): Promise<void> => {
    // The client went while its token was looked at.
    if (reply.raw.destroyed) {
      reply.hijack();
      return;
    }
    const opened = openStream(reply, format, admitted.context);
    if (!format.carriesEverything) {
      if ('document' in known) subscribe(opened, known, admitted);
      begin(reply, opened);
      return;
    }
    begin(reply, opened);
    try {
      if (!('document' in known)) opened.error(known);
      else if (known.isSubscription) subscribe(opened, known, admitted);
      else {
        opened.next(payloadOfText(await answerTo(method, known, admitted)));
        opened.complete();
      }
    } catch (error) {
      opened.error([present(error)]);
    }
  };

  return {
    async answer(request, reply) {
      const wish = wishOf(request.headers.accept);
      if (!wish) return false;
      const { format, prefersJson } = wish;
      try {
        const admitted = await admit(request);
        const known = findKnown(admitted.operation);
        if (!('document' in known) && !format.carriesEverything && !prefersJson) {
          refuse(reply, known);
          return true;
        }
        const isSubscription = 'document' in known && known.isSubscription;
        if (!isSubscription && (prefersJson || !format.carriesEverything)) return false;
        await stream(request, reply, format, known, admitted);
      } catch (error) {
        refuse(reply, [present(error)]);
      }
      return true;
    },
    async stop(spreadMs) {
      isStopping = true;
      const waiting = [...streams].filter(({ isSubscribed }) => isSubscribed);
      // All at once, they would all come again at once.
      const startedAt = performance.now();
      for (const [index, stream] of waiting.entries()) {
        const early = (index / waiting.length) * spreadMs - (performance.now() - startedAt);
        if (early > 5) await pause(early);
        stream.interrupt();
      }
      // A client that doesn't read its last bytes must not hold the shutdown up.
      const deadline = performance.now() + closeTimeoutMs;
      while (waiting.some((stream) => streams.has(stream)) && performance.now() < deadline) await pause(10);
      for (const stream of waiting) stream.destroy();
      clearInterval(sweep);
    },
  };
}

/** What the client prefers of what a stream can be; undefined if it takes no stream. */
function wishOf(accept: string | undefined): { format: StreamFormat; prefersJson: boolean } | undefined {
  // Nearly all requests take none, and need not pay for the rest.
  if (accept === undefined || !/event-stream|multipart/i.test(accept)) return undefined;
  const ranges = mediaRangesOf(accept);
  for (const [index, range] of ranges.entries()) {
    const format = formats.find((one) => one.accepts(range));
    if (format) return { format, prefersJson: ranges.slice(0, index).some(({ type }) => jsonTypes.has(type)) };
  }
  return undefined;
}

function begin(reply: FastifyReply, stream: HttpStream): void {
  reply.hijack();
  // Those that tell a browser which pages may read it.
  stream.open(reply.getHeaders());
}

/** Answers with JSON, and the status of the first error. */
function refuse(reply: FastifyReply, errors: readonly GraphQLFormattedError[]): void {
  const code = errors[0]?.extensions?.['code'];
  const status = isErrorCode(code) ? errorCodes[code].httpStatus : 500;
  if (status === 503) void reply.header('retry-after', '1');
  void reply.code(status).header('cache-control', 'no-store').send({ errors });
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorCodes, code);
}
