/**
 * One operation whose results stream in the answer to its HTTP request: the subscriber that the engine knows, and the bytes
 * that the client sees. The formats are in sse.ts and multipart.ts; who may open streams, in http-streams.ts.
 */
import type { GraphQLFormattedError } from 'graphql';
import type { ServerResponse } from 'node:http';
import type { Departure, Subscription } from '../subscriptions/engine.js';
import type { Subscriber } from '../subscriptions/member.js';
import type { StreamPayload } from '../subscriptions/payload.js';
import type { MediaRange } from './accept.js';

/** How a protocol writes a stream. */
export interface StreamFormat {
  /** Whether the client asks for this protocol by this range of its `Accept` header. */
  accepts(range: MediaRange): boolean;
  /** Whether queries, mutations and operations that can't run are answered in the stream, too; else with JSON. */
  readonly carriesEverything: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** Written first. */
  readonly opening: () => string;
  readonly heartbeat: string;
  readonly heartbeatMs: number;
  payload(payload: StreamPayload): Buffer;
  /** Ends the stream. */
  readonly complete: string;
  /** Tells why the operation ended, and ends the stream. */
  failure(errors: readonly GraphQLFormattedError[]): string;
  /** Ends the stream where the operation has not ended: the client is to come again. */
  interruption(errors: readonly GraphQLFormattedError[]): string;
}

/** A client that has read nothing for so long, while there was something to read, is gone. */
const unreadMs = 30_000;

// One for each of thousands of clients: methods on a prototype, not closures.
export class HttpStream implements Subscriber {
  readonly #response: ServerResponse;
  readonly #format: StreamFormat;
  readonly #expiresAtMs: number;
  #subscription: Subscription | undefined;
  #writtenAtMs = Date.now();
  /** Since when the client has left something unread. */
  #unreadSinceMs: number | undefined;

  /** @param expiresAtMs when the token ends with which the client came, epoch milliseconds */
  constructor(response: ServerResponse, format: StreamFormat, expiresAtMs: number) {
    this.#response = response;
    this.#format = format;
    this.#expiresAtMs = expiresAtMs;
    response.once('close', () => this.#leave());
    // The close follows; what it was is of no use to anybody.
    response.on('error', () => undefined);
    response.on('drain', () => {
      this.#unreadSinceMs = undefined;
      this.#subscription?.resume();
    });
  }

  /** Whether it has a subscription: else it ends by itself, with its one result. */
  get isSubscribed(): boolean {
    return this.#subscription !== undefined;
  }

  get isOpen(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded;
  }

  /** Begins the answer; `headers` are those that it has beside the ones of its format. */
  open(headers: Readonly<Record<string, string | string[] | number | undefined>>): void {
    const known = Object.entries(headers).filter(([, value]) => value !== undefined) as [string, string][];
    this.#response.writeHead(200, { ...Object.fromEntries(known), ...this.#format.headers });
    this.#write(this.#format.opening());
  }

  /** The results come from this subscription. */
  follow(subscription: Subscription): void {
    this.#subscription = subscription;
  }

  next(payload: StreamPayload): boolean {
    return this.#write(this.#format.payload(payload));
  }

  complete(): void {
    this.#end(this.#format.complete);
  }

  error(errors: readonly GraphQLFormattedError[]): void {
    this.#end(this.#format.failure(errors));
  }

  /** The gateway can't go on with it: the client is to come again. */
  interrupt(): void {
    this.#end(
      this.#format.interruption([
        this.#ending('UNAVAILABLE', 'The gateway is stopping. Subscribe again: another goes on.'),
      ]),
      'stopping',
    );
  }

  /** Ends it without a word. */
  destroy(): void {
    this.#response.destroy();
  }

  /** Does what is due by the clock. @param now epoch milliseconds */
  look(now: number): void {
    if (this.#unreadSinceMs !== undefined) {
      if (now - this.#unreadSinceMs > unreadMs) this.destroy();
    }
    if (!this.isOpen) return;
    if (this.isSubscribed && now >= this.#expiresAtMs) {
      const error = this.#ending(
        'UNAUTHENTICATED',
        'The token has expired. Get a new one and subscribe again with it.',
      );
      this.#end(this.#format.failure([error]), 'expired');
    } else if (this.#unreadSinceMs === undefined && now - this.#writtenAtMs >= this.#format.heartbeatMs) {
      this.#write(this.#format.heartbeat);
    }
  }

  #ending(code: 'UNAUTHENTICATED' | 'UNAVAILABLE', message: string): GraphQLFormattedError {
    const cursor = this.#subscription?.cursor();
    return { message, extensions: { code, ...(cursor === undefined ? {} : { cursor }) } };
  }

  #write(chunk: Buffer | string): boolean {
    if (!this.isOpen) return true;
    this.#writtenAtMs = Date.now();
    const hasRoom = this.#response.write(chunk);
    if (!hasRoom) this.#unreadSinceMs ??= this.#writtenAtMs;
    return hasRoom;
  }

  #end(last: string, why?: Departure): void {
    this.#leave(why);
    if (!this.isOpen) return;
    this.#unreadSinceMs ??= Date.now();
    this.#response.end(last);
  }

  #leave(why?: Departure): void {
    const subscription = this.#subscription;
    this.#subscription = undefined;
    subscription?.leave(why);
  }
}
