/** One operation of a connection: the subscriber that the engine knows, and the frames that the client sees. */
import type { DocumentNode, GraphQLFormattedError } from 'graphql';
import { MessageType } from 'graphql-ws';
import type { GatewayContext } from '../../request-context.js';
import type { Departure, Subscription } from '../../subscriptions/engine.js';
import type { Subscriber } from '../../subscriptions/member.js';
import type { SubscriptionPlan } from '../../subscriptions/plan.js';
import type { StreamPayload } from '../../subscriptions/payload.js';

/** The connection, as its operations know it. */
export interface OperationConnection {
  /** Sends a frame. @returns false when the socket has enough for now: `resume` is called when it has room again. */
  send(frame: Buffer | string): boolean;
  sendError(id: string, errors: readonly GraphQLFormattedError[]): void;
  /** The operation has ended by itself. */
  forget(id: string, operation: SocketOperation): void;
  /** Begins a subscription again after a cursor, with the permissions of the new token. */
  resubscribe(
    plan: SubscriptionPlan,
    wish: Wish,
    context: GatewayContext,
    since: string | undefined,
    subscriber: Subscriber,
  ): Subscription;
  /** The plan of a subscription for the permissions of the context. Rejects if they don't allow it. */
  planAgain(wish: Wish, context: GatewayContext): Promise<SubscriptionPlan>;
  /** The context with the token that the connection has now. */
  contextOf(extensions: Wish['extensions']): Promise<GatewayContext>;
  present(error: unknown): GraphQLFormattedError;
}

/** What a client subscribed to: it may have to be begun anew, with another token. */
export interface Wish {
  readonly document: DocumentNode;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly extensions: Readonly<Record<string, unknown>> | undefined;
}

export class SocketOperation implements Subscriber {
  readonly id: string;
  readonly #connection: OperationConnection;
  /** What comes before the payload in each frame. JSON with everything beyond ASCII escaped, so that it is one byte a character. */
  readonly #prefix: string;
  #subscription: Subscription | undefined;
  #wish: Wish | undefined;
  #abort: AbortController | undefined;
  /** New tokens so far, and whether the authority differs from that of the subscription. */
  #newTokens = 0;
  #isOtherAuthority = false;
  hasEnded = false;

  constructor(id: string, connection: OperationConnection) {
    this.id = id;
    this.#connection = connection;
    this.#prefix = `{"id":${asciiJson(id)},"type":"${MessageType.Next}","payload":`;
  }

  /** Takes results from this subscription. */
  follow(wish: Wish, subscription: Subscription): void {
    this.#wish = wish;
    this.#subscription = subscription;
  }

  /** For a query or mutation: aborted when the client completes it early or disconnects. */
  abortSignal(): AbortSignal {
    this.#abort = new AbortController();
    return this.#abort.signal;
  }

  /** The connection has a new token: what it may not see any more ends, the rest goes on where it is. */
  async authorizeAnew(isSameAuthority: boolean): Promise<void> {
    const wish = this.#wish;
    if (!wish || !this.#subscription) return;
    const turn = (this.#newTokens += 1);
    this.#isOtherAuthority ||= !isSameAuthority;
    try {
      const context = await this.#connection.contextOf(wish.extensions);
      if (this.#isOtherAuthority) await this.#beginAnew(wish, context, turn);
      else if (turn === this.#newTokens) this.#subscription?.renew(context);
    } catch (error) {
      if (!this.hasEnded && turn === this.#newTokens) this.error([this.#connection.present(error)]);
    }
  }

  /** The old subscription ends before the plan of the new one is known: what it gives may not be for the new token. */
  async #beginAnew(wish: Wish, context: GatewayContext, turn: number): Promise<void> {
    const before = this.#subscription;
    // Superseded by a later token.
    if (!before || turn !== this.#newTokens) return;
    before.leave();
    const plan = await this.#connection.planAgain(wish, context);
    if (this.hasEnded || turn !== this.#newTokens) return;
    this.#isOtherAuthority = false;
    this.#subscription = this.#connection.resubscribe(plan, wish, context, before.cursor(), this);
  }

  next({ bytes }: StreamPayload): boolean {
    const prefix = this.#prefix;
    const frame = Buffer.allocUnsafe(prefix.length + bytes.length + 1);
    frame.write(prefix, 0, 'latin1');
    bytes.copy(frame, prefix.length);
    frame[frame.length - 1] = closingBrace;
    return this.#connection.send(frame);
  }

  complete(): void {
    this.#end();
    this.#connection.send(JSON.stringify({ id: this.id, type: MessageType.Complete }));
  }

  error(errors: readonly GraphQLFormattedError[]): void {
    this.#end();
    this.#connection.sendError(this.id, errors);
  }

  /** The socket has room again. */
  resume(): void {
    this.#subscription?.resume();
  }

  /** The client wants no more of it. */
  leave(why?: Departure): void {
    this.hasEnded = true;
    this.#subscription?.leave(why);
    this.#subscription = undefined;
    this.#abort?.abort();
  }

  #end(): void {
    this.hasEnded = true;
    this.#subscription = undefined;
    this.#connection.forget(this.id, this);
  }
}

const closingBrace = '}'.charCodeAt(0);

function asciiJson(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
