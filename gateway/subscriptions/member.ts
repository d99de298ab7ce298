/**
 * One client of a shared stream: it catches up on its own, then takes part in what happens.
 * Invariant: of the shared stream it gets exactly what lies behind the position up to which it has caught up. While it catches
 * up, or is slow, what happens waits in its queue.
 */
import type { GraphQLFormattedError } from 'graphql';
import type { GatewayContext } from '../request-context.js';
import { PayloadQueue, type QueueLimits } from './payload-queue.js';
import type { StreamPayload } from './payload.js';

/** The client's end of a subscription, whatever transport it came by. */
export interface Subscriber {
  /** Takes a payload to the client. @returns false when the client is slow: `resume` is to be called when it has room again. */
  next(payload: StreamPayload): boolean;
  /** The stream is at its end. Nothing follows. */
  complete(): void;
  /** The stream failed. Nothing follows. */
  error(errors: readonly GraphQLFormattedError[]): void;
}

export type Ending =
  { readonly kind: 'complete' } | { readonly kind: 'error'; readonly errors: readonly GraphQLFormattedError[] };

/** What happened to a client's payloads, for the metrics. */
export interface MemberEvents {
  sent(): void;
  conflated(count: number): void;
  /** Its queue was full. @returns what it is told. */
  lagged(member: Member): readonly GraphQLFormattedError[];
  /** It got its last. */
  ended(member: Member, how: Ending['kind'] | 'lagged'): void;
}

// Tens of thousands of them are idle at once: methods on a prototype, and a queue only while something waits.
export class Member {
  /** Changes when the client has a new token. */
  context: GatewayContext;
  readonly #subscriber: Subscriber;
  readonly #events: MemberEvents;
  readonly #limits: QueueLimits;
  #state: 'catchingUp' | 'live' | 'ended' = 'catchingUp';
  #isBlocked = false;
  #queue: PayloadQueue | undefined;
  #behind: bigint | undefined;
  #ending: Ending | undefined;
  #wake: (() => void) | undefined;
  /** Where the client goes on: the cursor of the last payload that it was sent, or the one that it came with. */
  cursor: string | undefined;

  constructor(options: {
    subscriber: Subscriber;
    context: GatewayContext;
    since: string | undefined;
    limits: QueueLimits;
    events: MemberEvents;
  }) {
    this.#subscriber = options.subscriber;
    this.context = options.context;
    this.cursor = options.since;
    this.#limits = options.limits;
    this.#events = options.events;
  }

  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /** Whether something that happened while it caught up was too much for its queue: it has to catch up with that, too. */
  get hasGap(): boolean {
    return this.#queue?.overflowed ?? false;
  }

  /** Begins anew to keep what happens: call it before what is missing is read. */
  closeGap(): void {
    this.#queue?.clear();
  }

  /** A payload of the shared stream. */
  offer(payload: StreamPayload): void {
    if (this.#state === 'ended' || this.#ending) return;
    if (this.#state === 'live') {
      if (this.#isOld(payload)) return;
      if (!this.#isBlocked && this.#queue === undefined) {
        this.#deliver(payload);
        return;
      }
    }
    this.#queue ??= new PayloadQueue(this.#limits);
    const before = this.#queue.conflated;
    this.#queue.push(payload);
    this.#events.conflated(this.#queue.conflated - before);
    if (this.#queue.overflowed && this.#state === 'live') this.#lag();
  }

  /** A payload of what it catches up with. Resolves when the client has room for another. */
  async catchUp(payload: StreamPayload): Promise<void> {
    if (this.#state !== 'catchingUp') return;
    this.#deliver(payload);
    while (this.#isBlocked && !this.hasEnded) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** It has caught up to this position: from now on it takes part. */
  goLive(behind: bigint | undefined): void {
    if (this.#state !== 'catchingUp') return;
    this.#state = 'live';
    this.#behind = behind;
    this.#flush();
  }

  /** The client has room again. */
  resume(): void {
    this.#isBlocked = false;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
    if (this.#state === 'live') this.#flush();
  }

  /** Ends it, after what waits for it; after an orderly end of the stream also after what it has yet to catch up with. */
  end(ending: Ending): void {
    if (this.#state === 'ended') return;
    this.#ending ??= ending;
    if (this.#state === 'live') this.#flush();
    // With a failure it can't be made whole any more. After an orderly end it still gets what it has missed.
    else if (ending.kind === 'error') this.#finish(ending.kind);
  }

  /** The client is gone. */
  leave(): void {
    this.#state = 'ended';
    this.#queue = undefined;
    this.resume();
  }

  #isOld({ position }: StreamPayload): boolean {
    return position !== undefined && this.#behind !== undefined && position <= this.#behind;
  }

  #deliver(payload: StreamPayload): void {
    this.cursor = payload.cursor ?? this.cursor;
    this.#events.sent();
    this.#isBlocked = !this.#subscriber.next(payload);
  }

  #flush(): void {
    while (this.#queue !== undefined && !this.#isBlocked) {
      const payload = this.#queue.shift();
      if (payload === undefined) this.#queue = undefined;
      else if (!this.#isOld(payload)) this.#deliver(payload);
    }
    if (this.#ending && this.#queue === undefined && this.#state === 'live') this.#finish(this.#ending.kind);
  }

  #lag(): void {
    this.#ending = { kind: 'error', errors: this.#events.lagged(this) };
    this.#finish('lagged');
  }

  #finish(how: Ending['kind'] | 'lagged'): void {
    const ending = this.#ending;
    this.leave();
    if (ending?.kind === 'error') this.#subscriber.error(ending.errors);
    else this.#subscriber.complete();
    this.#events.ended(this, how);
  }
}
