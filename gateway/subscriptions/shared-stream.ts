/**
 * One stream for all clients that want the same: one subscription at the subgraph, one execution and one serialisation for each
 * event. Who comes later catches up apart (pages.ts), while what happens is kept for it (member.ts).
 *
 * Where the field can be taken up again, a broken stream is, from where it broke, and no client notices. The token it runs
 * with is the one that lasts longest among its clients; when that ends, the next one takes over in the same way.
 */
import type { StreamRequest } from '../../platform/graphql/stream-contract.js';
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { GatewayContext } from '../request-context.js';
import { catchUp } from './catch-up.js';
import type { EventFrame } from './event-frame.js';
import { InOrder } from './in-order.js';
import type { Member } from './member.js';
import { createPages, type Pages } from './pages.js';
import type { StreamPayload } from './payload.js';
import type { SubscriptionPlan } from './plan.js';
import type { EventExecutor } from './execute-event.js';
import { operationOf, payloadAtOnce, workFor, type StreamIdentity } from './stream-events.js';
import type { Upstreams } from './upstream.js';
import type { PresentEnding } from './present-ending.js';
import { isInterruption, StreamInterrupted } from './stream-interrupted.js';
import { EndedBySubgraph } from './subgraph-errors.js';
import { UpstreamRefused } from './upstream-refused.js';

/** What all streams of a gateway have in common. */
export interface StreamServices {
  readonly upstreams: Upstreams;
  readonly log: Logger;
  /** The answer for an event: what other subgraphs know is fetched and joined. */
  readonly execute: EventExecutor['execute'];
  /** Whether an event is the answer as it is. */
  readonly fits: EventExecutor['fits'];
  /** The error that a client is told. `cursor`: where it goes on. */
  readonly present: PresentEnding;
  /** Nobody is left; or the stream is over, and nobody may join any more. Called once. */
  readonly onOver: (stream: SharedStream) => void;
  /** How long a broken stream is tried to be taken up again, milliseconds. */
  readonly resumeForMs: number;
}

/** Events that may be executed at once; behind that the next ones wait. */
const maxExecuting = 32;
/** Events that may wait, behind which the stream is broken off, to be taken up again from its cursor. */
const maxWaiting = 1_000;

// Ten thousands of them are silent at once: methods on a prototype, and nothing that only those need that are busy.
export class SharedStream {
  identity: StreamIdentity;
  readonly #services: StreamServices;
  readonly #members = new Set<Member>();
  #leaveUpstream: (() => void) | undefined;
  /** The client whose token the stream runs with, and what it came with. */
  #sponsor: Member | undefined;
  #context: GatewayContext | undefined;
  #ordered: InOrder<StreamPayload> | undefined;
  #pages: Pages | undefined;
  #catchingUp = 0;
  /** Those who wait for the first sign of the stream; undefined when it has come. */
  #untilBegun: (() => void)[] | undefined = [];
  #cursor: string | undefined;
  #attempt = 0;
  #interruptedAt: number | undefined;
  #resuming: AbortController | undefined;
  #isOver = false;

  constructor(services: StreamServices, identity: StreamIdentity) {
    this.#services = services;
    this.identity = identity;
  }

  /** Takes a client in. It gets its payloads until it leaves or the stream ends. */
  join(member: Member): void {
    this.#members.add(member);
    if (this.#members.size === 1 && !this.#leaveUpstream && !this.#resuming) this.#follow();
    if (!this.identity.plan.resumption) {
      member.goLive(undefined);
      return;
    }
    this.#catchingUp += 1;
    const caughtUp = (): void => {
      this.#catchingUp -= 1;
      if (this.#catchingUp === 0) this.#pages = undefined;
    };
    catchUp(member, this.#untilBegun && new Promise((resolve) => this.#untilBegun?.push(resolve)), () =>
      this.#pagesNow(),
    ).then(caughtUp, (error: unknown) => {
      caughtUp();
      if (member.hasEnded || !this.#members.delete(member)) return;
      member.end({ kind: 'error', errors: this.#services.present(error, member.cursor) });
      this.#overIfEmpty();
    });
  }

  /** The token that it runs with, and whose it is. */
  get context(): GatewayContext | undefined {
    return this.#context;
  }

  /**
   * Goes on by the plan of a new supergraph. Where that asks the subgraph for the same, nothing happens; else the stream is taken
   * up by it behind the last event, which no client notices, or, if its field can't be, ends for all with UNAVAILABLE.
   */
  adopt(plan: SubscriptionPlan): void {
    const before = this.identity.plan;
    this.identity = { ...this.identity, plan };
    if (this.#isOver || asksTheSame(before, plan)) return;
    const isSilent = this.#untilBegun !== undefined;
    if (!before.resumption || !plan.resumption || (this.#cursor === undefined && !isSilent)) {
      this.fail(new StreamInterrupted(new Error('its plan in the new supergraph is another')));
      return;
    }
    this.#leaveUpstream?.();
    this.#leaveUpstream = undefined;
    if (!this.#resuming) this.#follow();
  }

  /** Ends it for all of its clients. */
  fail(error: unknown): void {
    if (!this.#isOver) this.#failAll(error);
  }

  leave(member: Member): void {
    this.#members.delete(member);
    member.leave();
    this.#overIfEmpty();
  }

  /** Follows the subgraph's stream, with the token that lasts longest. */
  #follow(): void {
    const { plan } = this.identity;
    this.#resuming = undefined;
    this.#sponsor = undefined;
    for (const member of this.#members)
      if (!this.#sponsor || expiryOf(member) > expiryOf(this.#sponsor)) this.#sponsor = member;
    if (!this.#sponsor) {
      this.#overIfEmpty();
      return;
    }
    // Its client may have a new one when this one ends.
    const { context } = this.#sponsor;
    this.#context = context;
    const operation = operationOf(
      this.identity,
      context,
      this.#cursor,
      plan.resumption ? { phase: 'live' } : undefined,
    );
    this.#leaveUpstream = this.#services.upstreams.subscribe(plan.primary.serviceName, operation, this);
    // A stream without phases says nothing until something happens.
    if (!plan.resumption) this.#begun();
  }

  /** An event of the subgraph. */
  next(event: EventFrame): void {
    const { stream } = event;
    if (this.#interruptedAt !== undefined)
      this.#services.log.debug({ subgraph: this.identity.plan.primary.serviceName }, 'a stream was taken up again');
    this.#interruptedAt = undefined;
    this.#attempt = 0;
    if (stream?.mark) {
      this.#cursor = stream.mark.cursor ?? this.#cursor;
      this.#begun();
      return;
    }
    const context = this.#context;
    if (!context) return;
    const payload = payloadAtOnce(this.identity, event, this.#services);
    if (payload && !this.#ordered) this.#deliver(payload);
    else if (!this.#inLine().add(payload ? () => payload : workFor(this.identity, event, context, this.#services))) {
      // The connection is everybody's: it can't be held back for one stream.
      this.#leaveUpstream?.();
      this.end(new StreamInterrupted(new Error(`more than ${maxWaiting} events waited to be joined`)));
      return;
    }
    this.#cursor = stream?.cursor ?? this.#cursor;
  }

  /** The subgraph has no more for this subscription. */
  end(error?: Error): void {
    this.#leaveUpstream = undefined;
    // What came before a break comes out before what comes after it.
    const settled = this.#ordered?.settled();
    if (settled)
      settled.then(
        () => this.#ended(error),
        () => undefined,
      );
    else this.#ended(error);
  }

  #ended(error: Error | undefined): void {
    if (this.#isOver) return;
    if (!error) {
      this.#completeAll();
      return;
    }
    const { log, resumeForMs } = this.#services;
    const isTokenOver = isUnauthenticated(error) && (this.#context?.identity?.expiresAtMs ?? 0) <= Date.now() + 1_000;
    // Who subscribes while the subgraph is away is told at once, and may do something else meanwhile.
    // Proxies refuse connections while a subgraph restarts: a stream that had begun retries.
    const mayPass = isTokenOver || isInterruption(error) || error instanceof UpstreamRefused;
    const canResume = this.#cursor !== undefined && mayPass;
    this.#interruptedAt ??= performance.now();
    if (!canResume || performance.now() - this.#interruptedAt > resumeForMs) {
      this.#failAll(error);
      return;
    }
    log.debug(
      { subgraph: this.identity.plan.primary.serviceName, err: error },
      'a stream broke off and is taken up again',
    );
    if (isTokenOver) {
      // The transport ends those whose token is over; what they don't get they may not have.
      const sponsor = this.#sponsor;
      if (sponsor && sponsor.context === this.#context) this.#members.delete(sponsor);
      this.#follow();
      return;
    }
    const resuming = new AbortController();
    this.#resuming = resuming;
    void pause(20 + backoffMs(this.#attempt, 50, 2_000), resuming.signal).then(() => {
      if (!resuming.signal.aborted) this.#follow();
    });
    this.#attempt += 1;
  }

  #inLine(): InOrder<StreamPayload> {
    this.#ordered ??= new InOrder<StreamPayload>({
      maxRunning: maxExecuting,
      maxWaiting,
      deliver: (payload) => this.#deliver(payload),
      failed: (error) => this.#failAll(error),
    });
    return this.#ordered;
  }

  #deliver(payload: StreamPayload): void {
    for (const member of this.#members) member.offer(payload);
  }

  #pagesNow(): Pages {
    const { upstreams, resumeForMs } = this.#services;
    this.#pages ??= createPages({
      subscribe: ({ context, since, page }, sink) => {
        const request: StreamRequest = { phase: 'catchUp', ...(page === undefined ? {} : { page }) };
        const operation = operationOf(this.identity, context, since, request);
        return upstreams.subscribe(this.identity.plan.primary.serviceName, operation, sink);
      },
      workFor: (event, context) => {
        const payload = payloadAtOnce(this.identity, event, this.#services);
        return payload ? () => payload : workFor(this.identity, event, context, this.#services);
      },
      maxExecuting,
      retryForMs: resumeForMs,
    });
    return this.#pages;
  }

  #begun(): void {
    const waiting = this.#untilBegun;
    this.#untilBegun = undefined;
    for (const begin of waiting ?? []) begin();
  }

  #failAll(error: unknown): void {
    const failed = [...this.#members];
    this.#members.clear();
    this.#overIfEmpty();
    for (const member of failed) member.end({ kind: 'error', errors: this.#services.present(error, member.cursor) });
  }

  /** The subgraph has nothing more. Who is still catching up goes on with that; nobody joins any more. */
  #completeAll(): void {
    this.#over();
    // A field that ended before it began has nothing to catch up with that could be waited for.
    this.#begun();
    for (const member of [...this.#members]) member.end({ kind: 'complete' });
    this.#overIfEmpty();
  }

  #overIfEmpty(): void {
    if (this.#members.size > 0) return;
    this.#leaveUpstream?.();
    this.#leaveUpstream = undefined;
    this.#resuming?.abort();
    this.#pages?.stop();
    this.#over();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#services.onOver(this);
  }
}

/** Whether what is asked of the subgraph is one and the same. */
function asksTheSame(one: SubscriptionPlan, other: SubscriptionPlan): boolean {
  return (
    one.primary.serviceName === other.primary.serviceName &&
    one.primary.operation === other.primary.operation &&
    one.resumption?.query === other.resumption?.query
  );
}

function expiryOf({ context }: Member): number {
  return context.identity?.expiresAtMs ?? 0;
}

function isUnauthenticated(error: unknown): boolean {
  return error instanceof EndedBySubgraph && error.hasOnlyCode('UNAUTHENTICATED');
}
