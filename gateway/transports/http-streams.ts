/**
 * Streams over HTTP, for clients without WebSockets: which requests get one, how many there may be, for how long. A client
 * says by its `Accept` header what it wants: Server-Sent Events (sse.ts), Apollo's multipart protocol (multipart.ts), or
 * neither, and then the request is none of these.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { getOperationAST, OperationTypeNode, type GraphQLFormattedError } from 'graphql';
import { errorCodes, FleetgraphError, type ErrorCode } from '../../platform/errors.js';
import { pause } from '../../platform/lifecycle/wait.js';
import { inSpan } from '../../platform/observability/trace-context.js';
import type { GatewayMetrics } from '../gateway-metrics.js';
import type { GatewayContext } from '../request-context.js';
import type { SubscriptionEngine } from '../subscriptions/engine.js';
import { payloadOf } from '../subscriptions/payload.js';
import type { OnceRequest } from './execute-once.js';
import { HttpStream, type StreamFormat } from './http-stream.js';
import { multipart } from './multipart.js';
import type { FindOperation, KnownOperation } from './operations.js';
import { presentError, type FormatError } from './present-error.js';
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
  readonly executeOnce: (operation: OnceRequest) => Promise<object>;
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
      throw new FleetgraphError(
        'RATE_LIMITED',
        'Too many streams of this tenant. Close some, or come again later.',
      );
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

  /** Ends with the answer begun, whatever comes. */
  const run = async (request: FastifyRequest, stream: HttpStream, found: KnownOperation, admitted: Admitted) => {
    const { operation, context, since } = admitted;
    const { operationName, variables } = operation;
    const { document, isSubscription } = found;
    try {
      if (isSubscription) {
        if (!context.identity) throw new FleetgraphError('UNAUTHENTICATED', 'Send "Authorization: Bearer <token>".');
        stream.follow(engine.subscribe({ document, operationName, variables, context, since }, stream));
        return;
      }
      if (request.method === 'GET' && isMutation(found, operationName))
        throw new FleetgraphError('BAD_USER_INPUT', 'A mutation has to be sent with POST.');
      const traceparent = context.forwarded['traceparent'];
      const result = await inSpan('graphql request', { traceparent }, async () =>
        executeOnce({ operation: found, operationName, variables, context }),
      );
      stream.next(payloadOf(result, undefined));
      stream.complete();
    } catch (error) {
      stream.error([present(error)]);
    }
  };

  return {
    async answer(request, reply) {
      const wish = wishOf(request.headers.accept);
      if (!wish) return false;
      const { format } = wish;
      let admitted: Admitted;
      try {
        admitted = await admit(request);
      } catch (error) {
        if (wish.prefersJson) return false;
        refuse(reply, [present(error)]);
        return true;
      }
      const found = findKnown(admitted.operation);
      const isSubscription = 'document' in found && found.isSubscription;
      if (!isSubscription && wish.prefersJson) return false;
      if (reply.raw.destroyed) return hijacked(reply);
      if (!format.carriesEverything) {
        if (!('document' in found)) refuse(reply, found);
        else if (!isSubscription) return false;
      }
      return true;
    },
    async stop(spreadMs) {
      isStopping = true;
    },
  };
}
