/**
 * The subscription engine, free of any transport: give it a validated operation and somebody to tell, and it sends payloads.
 * Clients that want the same share one stream (shared-stream.ts).
 */
import type { DocumentNode } from 'graphql';
import { FleetgraphError } from '../../platform/errors.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Subgraphs } from '../execution/subgraphs/subgraph.js';
import type { GatewayMetrics } from '../gateway-metrics.js';
import type { GatewayContext } from '../request-context.js';
import type { OverrideChoice } from '../supergraph/override-labels.js';
import type { Supergraph } from '../supergraph/supergraph.js';
import type { FormatError } from '../present-error.js';
import { createEventExecutor, type EventExecutorOptions } from './execute-event.js';
import { Member, type MemberEvents, type Subscriber } from './member.js';
import { sharingKey } from './normalise.js';
import type { QueueLimits } from './payload-queue.js';
import type { SubscriptionPlan } from './plan.js';
import { presentEnding } from './present-ending.js';
import { SharedStream, type StreamServices } from './shared-stream.js';
import type { StreamIdentity } from './stream-events.js';
import type { Upstreams } from './upstream.js';

export interface SubscriptionRequest {
  /** As the client may run it. Whoever shares a stream may see the same. */
  readonly plan: SubscriptionPlan;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly context: GatewayContext;
  /** Begins behind this cursor, whatever the operation says. */
  readonly since?: string | undefined;
}

/** Why a client is gone: by itself, because its token has expired, or because the gateway stops. */
export type Departure = 'left' | 'expired' | 'stopping';

/** A client's hold on its subscription. */
export interface Subscription {
  /** The client has room again, after it said that it had none. */
  resume(): void;
  /** The client has a new token, with which it may see the same. */
  renew(context: GatewayContext): void;
  /** The client is gone. Nothing comes any more. */
  leave(why?: Departure): void;
  /** Cursor of the last payload that was sent; undefined if its field has none. */
  cursor(): string | undefined;
}

export interface SubscriptionEngine {
  /**
   * Begins a subscription. Payloads, the end and failures come to the subscriber, never before this returns.
   * @throws FleetgraphError BAD_USER_INPUT: its variables don't fit.
   */
  subscribe(request: SubscriptionRequest, subscriber: Subscriber): Subscription;
  /** What is being subscribed to, each document once. */
  documents(): ReadonlySet<DocumentNode>;
  /**
   * There is a new supergraph. What it allows goes on, by a new plan where that is another; the rest ends with what `readmit`
   * throws. Resolves when all streams have been looked at.
   */
  reload(): Promise<void>;
}

/** By which plan a stream would be let in now. @throws an error with a code: not any more. */
export type Readmit = (stream: {
  readonly document: DocumentNode;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly identity: GatewayContext['identity'];
  readonly choice: OverrideChoice | undefined;
}) => SubscriptionPlan | Promise<SubscriptionPlan>;

export interface SubscriptionEngineOptions {
  readonly supergraph: () => Supergraph;
  readonly readmit: Readmit;
  readonly upstreams: Upstreams;
  readonly subgraphs: Subgraphs;
  readonly log: Logger;
  readonly metrics: GatewayMetrics;
  readonly formatError: FormatError;
  /** How many errors one payload has; default: all of them. */
  readonly limitErrors?: EventExecutorOptions['limitErrors'];
  /** What may wait for one client that is slow (default 1,000 payloads, 4 MiB). */
  readonly queueLimits?: QueueLimits;
  /** How long a broken stream is tried to be taken up again, milliseconds (default 60,000). */
  readonly resumeForMs?: number;
}

export function createSubscriptionEngine(options: SubscriptionEngineOptions): SubscriptionEngine {
  const { metrics, formatError, queueLimits = { payloads: 1_000, bytes: 4_194_304 } } = options;
  const streams = new Map<string, SharedStream>();
  const streamOf = new WeakMap<Member, SharedStream>();

  const events: MemberEvents = {
    sent: () => metrics.events.inc(),
    conflated: (count) => metrics.conflated.inc(count),
    lagged: ({ cursor }) => [
      {
        message: `The client reads more slowly than things happen: its ${queueLimits.payloads} places were full. Subscribe again${cursor === undefined ? '' : ' with "since" set to the cursor of this error; nothing is lost'}.`,
        extensions: { code: 'LAGGED', ...(cursor === undefined ? {} : { cursor }) },
      },
    ],
    ended(member, how) {
      metrics.ended.inc({ reason: how });
      forget(member);
    },
  };

  const forget = (member: Member): void => {
    const stream = streamOf.get(member);
    if (!stream) return;
    streamOf.delete(member);
    metrics.subscriptions.dec();
    stream.leave(member);
  };

  const present = presentEnding(formatError);

  const services: StreamServices = {
    upstreams: options.upstreams,
    log: options.log,
    present,
    resumeForMs: options.resumeForMs ?? 60_000,
    ...createEventExecutor(options),
    onOver(stream) {
      metrics.sharedStreams.dec();
      if (streams.get(stream.identity.key) === stream) streams.delete(stream.identity.key);
    },
  };

  const join = (member: Member, identity: StreamIdentity): void => {
    let stream = streams.get(identity.key);
    if (!stream) {
      metrics.sharedStreams.inc();
      stream = new SharedStream(services, identity);
      streams.set(identity.key, stream);
    }
    streamOf.set(member, stream);
    stream.join(member);
  };

  const leave = (member: Member, reason: Departure): void => {
    if (member.hasEnded) return;
    metrics.ended.inc({ reason });
    member.leave();
    if (streamOf.has(member)) forget(member);
    else metrics.subscriptions.dec();
  };

  const reload = async (): Promise<void> => {
    const supergraph = options.supergraph();
    // Also those that come meanwhile, which may have been planned over the former one.
    for (const stream of streams.values()) {
      // Thousands may have an operation each to be planned anew: what happens meanwhile must not wait for them.
      await new Promise((resolve) => setImmediate(resolve));
      if (options.supergraph() !== supergraph) return;
      try {
        await readmit(stream);
      } catch (error) {
        stream.fail(error);
      }
    }
  };

  const readmit = async (stream: SharedStream): Promise<void> => {
    const { plan, variables } = stream.identity;
    if (plan.supergraph === options.supergraph()) return;
    const operationName = plan.operation.name?.value;
    const { identity } = stream.context ?? {};
    const choice = stream.context;
    const next = await options.readmit({ document: plan.document, operationName, variables, identity, choice });
    if (streams.get(stream.identity.key) === stream) stream.adopt(next);
  };

  return {
    reload,
    documents: () => new Set([...streams.values()].map(({ identity }) => identity.plan.document)),
    subscribe({ plan, variables: given, context, since }, subscriber) {
      const { resumption, normalised } = plan;
      const hasDefaults = Object.keys(normalised.defaults).length > 0;
      const coerced = plan.coerce(hasDefaults ? { ...normalised.defaults, ...given } : given);
      if ('errors' in coerced)
        throw new FleetgraphError('BAD_USER_INPUT', coerced.errors[0]?.message ?? 'The variables do not fit.');
      const variables = coerced.sent;
      const member = new Member({
        subscriber,
        context,
        events,
        limits: queueLimits,
        since: since ?? resumption?.sinceOf(variables),
      });
      metrics.subscriptions.inc();
      // Never before the caller has what it needs to leave.
      queueMicrotask(() => {
        if (!member.hasEnded)
          join(member, { key: sharingKey(normalised, variables, context.identity), plan, variables });
      });
      return new Hold(member, leave);
    },
  };
}

// One for each client: methods on a prototype, not closures.
class Hold implements Subscription {
  readonly #member: Member;
  readonly #leave: (member: Member, why: Departure) => void;

  constructor(member: Member, leave: (member: Member, why: Departure) => void) {
    this.#member = member;
    this.#leave = leave;
  }

  resume(): void {
    this.#member.resume();
  }

  renew(context: GatewayContext): void {
    this.#member.context = context;
  }

  leave(why: Departure = 'left'): void {
    this.#leave(this.#member, why);
  }

  cursor(): string | undefined {
    return this.#member.cursor;
  }
}
