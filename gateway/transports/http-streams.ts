/**
 * Streams over HTTP, for clients without WebSockets: opens them, within limits, and ends them.
 * request-pipeline.ts decides which requests get one, and in which format (sse.ts, multipart.ts).
 */
import type { FastifyReply } from 'fastify';
import { FleetgraphError } from '../../platform/errors.js';
import { pause } from '../../platform/lifecycle/wait.js';
import type { Answer } from '../execution/response/answer.js';
import type { GatewayMetrics } from '../gateway-metrics.js';
import type { GatewayContext } from '../request-context.js';
import type { SubscriptionPlan } from '../subscriptions/plan.js';
import type { SubscriptionEngine } from '../subscriptions/engine.js';
import { payloadOfText } from '../subscriptions/payload.js';
import type { Refusals } from './http-refusal.js';
import { HttpStream, type StreamFormat } from './http-stream.js';
import type { KnownOperation } from './operations.js';

export interface HttpStreams {
  /** Streams the results of a subscription. @throws FleetgraphError before the stream begins */
  subscribe(reply: FastifyReply, format: StreamFormat, subscription: RequestedSubscription): Promise<void>;
  /**
   * Streams the one result of a query or mutation, or the error that `execute` rejects with.
   * @throws FleetgraphError before the stream begins
   */
  answer(
    reply: FastifyReply,
    format: StreamFormat,
    context: GatewayContext,
    execute: () => Promise<Answer>,
  ): Promise<void>;
  /** Refuses new streams, ends those of subscriptions, spread over `spreadMs`; other operations are still answered. */
  stop(spreadMs: number): Promise<void>;
}

export interface RequestedSubscription {
  readonly operation: KnownOperation;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: GatewayContext;
  /** Begins after this cursor, whatever the variables say. */
  readonly since: string | undefined;
}

export interface HttpStreamsOptions {
  readonly engine: SubscriptionEngine;
  readonly refusals: Refusals;
  readonly metrics: GatewayMetrics;
  readonly limits: {
    /** Streams of all tenants. */
    readonly connections: number;
    readonly connectionsPerTenant: number;
  };
}

const sweepMs = 250;
const closeTimeoutMs = 3_000;

export function createHttpStreams(options: HttpStreamsOptions): HttpStreams {
  const { engine, refusals, metrics, limits } = options;
  const streams = new Set<HttpStream>();
  const ofTenant = new Map<string, number>();
  let isStopping = false;

  /** One timer for all. */
  const sweep = setInterval(() => {
    const now = Date.now();
    for (const stream of streams) stream.look(now);
  }, sweepMs);
  sweep.unref();

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

  /** Rejects if the caller may not subscribe to it. */
  const planOf = async ({ operation, context, variables }: RequestedSubscription): Promise<SubscriptionPlan> => {
    if (!context.identity) throw new FleetgraphError('UNAUTHENTICATED', 'Send "Authorization: Bearer <token>".');
    return operation.admit(context.identity, variables, context).subscriptionPlan();
  };
  const follow = (
    stream: HttpStream,
    plan: SubscriptionPlan,
    { context, variables, since }: RequestedSubscription,
  ): void => stream.follow(engine.subscribe({ plan, variables, context, since }, stream));

  return {
    async subscribe(reply, format, subscription) {
      if (isClosed(reply)) return;
      if (!format.carriesEverything) {
        const plan = await planOf(subscription);
        if (isClosed(reply)) return;
        const stream = openStream(reply, format, subscription.context);
        follow(stream, plan, subscription);
        begin(reply, stream);
        return;
      }
      const stream = openStream(reply, format, subscription.context);
      begin(reply, stream);
      try {
        const plan = await planOf(subscription);
        if (!isClosed(reply)) follow(stream, plan, subscription);
      } catch (error) {
        stream.error(refusals.errorsOf(reply, error));
      }
    },
    async answer(reply, format, context, execute) {
      if (isClosed(reply)) return;
      const stream = openStream(reply, format, context);
      begin(reply, stream);
      try {
        const { text } = await execute();
        stream.next(payloadOfText(text));
        stream.complete();
      } catch (error) {
        stream.error(refusals.errorsOf(reply, error));
      }
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

/** Whether the client disconnected during admission. If so, the reply is done. */
function isClosed(reply: FastifyReply): boolean {
  if (!reply.raw.destroyed) return false;
  reply.hijack();
  return true;
}

function begin(reply: FastifyReply, stream: HttpStream): void {
  reply.hijack();
  // Those that tell a browser which pages may read it.
  stream.open(reply.getHeaders());
}
