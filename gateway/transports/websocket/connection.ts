/**
 * One connection that speaks graphql-transport-ws (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md), from its
 * first message to its close. It is authenticated by the token in `connection_init`, and ends with that token (4403), unless
 * the client sends a new one in the payload of a `ping` before: the `pong` says until when it is good.
 * What goes wrong with an operation ends that operation with one `error`, and no other.
 *
 * The protocol is spoken here, and not by `makeServer` of graphql-ws, because that serialises each payload for each socket and
 * keeps a generator for each subscription: of ten thousand sockets that wait for the same payload, each would pay for all of it.
 */
import type { GraphQLFormattedError } from 'graphql';
import {
  CloseCode,
  MessageType,
  validateMessage,
  type ConnectionInitMessage,
  type Message,
  type PingMessage,
  type SubscribeMessage,
} from 'graphql-ws';
import { messageOf } from '../../../platform/errors.js';
import { sameAuthority, type Identity } from '../../../platform/identity/identity.js';
import { exactJson } from '../../../platform/json/exact-json.js';
import type { ParseJson } from '../../guards/json.js';
import { TokenBucket } from '../../guards/message-rate.js';
import type { GatewayContext } from '../../request-context.js';
import type { Departure, Subscription, SubscriptionEngine } from '../../subscriptions/engine.js';
import type { SubscriptionPlan } from '../../subscriptions/plan.js';
import type { Subscriber } from '../../subscriptions/member.js';
import type { GatewayMetrics } from '../../gateway-metrics.js';
import { admitAgain } from '../admit-again.js';
import type { ExecuteOnce } from '../execute-once.js';
import type { FindOperation } from '../operations.js';
import { presentError, type FormatError } from '../../present-error.js';
import { closeReason, tryAgainLater, type ClientSocket, type SocketFollower } from './client-socket.js';
import { authorizationOf, ConnectionToken, type CreateContext, type TokenPayload } from './connection-token.js';
import { SocketOperation, type OperationConnection, type Wish } from './socket-operation.js';

/** What all connections of a gateway have in common. */
export interface ConnectionOptions {
  readonly engine: SubscriptionEngine;
  readonly findOperation: FindOperation;
  /** Looks up a running operation, without counting it as use. */
  readonly peekOperation: FindOperation;
  /** Answers a query or mutation. */
  readonly executeOnce: ExecuteOnce;
  readonly createContext: CreateContext;
  readonly formatError: FormatError;
  readonly metrics: GatewayMetrics;
  /** Operations that may run at once on one connection. */
  readonly maxOperations: number;
  /** Over ten seconds; more at once are let through. */
  readonly maxMessagesPerSecond: number;
  readonly parseJson: ParseJson;
  /** Called when the client has shown who it is. @returns a reason to refuse it. */
  readonly onAuthenticated: (connection: Connection, identity: Identity) => string | undefined;
  readonly onClosed: (connection: Connection) => void;
}

/** Bytes that may wait in this process for one socket before its streams pause. */
const maxBufferedBytes = 65_536;

// One for each of ten thousands of sockets: methods on a prototype, not closures.
export class Connection implements OperationConnection, SocketFollower {
  readonly #socket: ClientSocket;
  readonly #options: ConnectionOptions;
  readonly #operations = new Map<string, SocketOperation>();
  readonly #token: ConnectionToken;
  readonly #rate: TokenBucket;
  #isInitialising = false;
  #isDraining = false;
  identity: Identity | undefined;
  readonly openedAtMs = Date.now();
  /** When the last message came. */
  heardAtMs = Date.now();
  /** When the last operation ended, or the connection began. */
  usedAtMs = Date.now();
  /** Whether a ping has had no answer yet. */
  awaitsPong = false;

  constructor(socket: ClientSocket, options: ConnectionOptions, clientAddress?: string) {
    this.#socket = socket;
    this.#token = new ConnectionToken(options.createContext, clientAddress);
    this.#options = options;
    this.#rate = new TokenBucket(options.maxMessagesPerSecond, this.openedAtMs);
    socket.follow(this);
  }

  /** A message has come. */
  receive(data: Buffer, isBinary: boolean): void {
    this.heardAtMs = Date.now();
    if (isBinary) this.close(CloseCode.BadRequest, 'Messages are text.');
    else if (this.#mayGoOn()) void this.#receive(data.toString('utf8'));
  }

  /** A ping was answered. */
  hear(): void {
    this.heardAtMs = Date.now();
    this.awaitsPong = false;
  }

  /** The socket is closed. */
  end(): void {
    this.#leaveAll();
    this.#options.onClosed(this);
  }

  get isAcknowledged(): boolean {
    return this.identity !== undefined;
  }

  get operationCount(): number {
    return this.#operations.size;
  }

  close(code: number, reason: string, why?: Departure): void {
    this.#leaveAll(why);
    this.#socket.close(code, closeReason(reason));
  }

  /** Ends it without a word. */
  terminate(): void {
    this.#socket.terminate();
  }

  ping(): void {
    this.awaitsPong = true;
    this.#socket.ping();
  }

  /** Sends a frame. @returns false when the socket has enough for now: its operations are told when it has room again. */
  send(frame: Buffer | string): boolean {
    const socket = this.#socket;
    if (socket.readyState !== socket.OPEN) return true;
    if (this.#isDraining || socket.bufferedAmount + frame.length <= maxBufferedBytes) {
      socket.send(frame, textFrame);
      return !this.#isDraining;
    }
    this.#isDraining = true;
    // Called when everything up to here has been handed to the kernel.
    socket.send(frame, textFrame, () => {
      this.#isDraining = false;
      for (const operation of this.#operations.values()) operation.resume();
    });
    return false;
  }

  /** The operation has ended by itself. */
  forget(id: string, operation: SocketOperation): void {
    if (this.#operations.get(id) === operation) this.#operations.delete(id);
    this.usedAtMs = Date.now();
  }

  /** Whoever goes on sending faster than any client needs to is closed, and what it has sent already is not read. */
  #mayGoOn(): boolean {
    if (this.#socket.readyState !== this.#socket.OPEN) return false;
    if (this.#rate.take(this.heardAtMs)) return true;
    this.#options.metrics.refused.inc({ limit: 'messages_per_second' });
    this.close(policyViolation, `More than ${this.#options.maxMessagesPerSecond} messages a second.`);
    return false;
  }

  async #receive(text: string): Promise<void> {
    let message: Message;
    try {
      message = validateMessage(this.#options.parseJson(text, 'The message'));
    } catch (error) {
      this.close(CloseCode.BadRequest, `Invalid message: ${messageOf(error)}`);
      return;
    }
    switch (message.type) {
      case MessageType.ConnectionInit:
        return this.#initialise(message);
      case MessageType.Ping:
        return this.#answerPing(message);
      case MessageType.Subscribe:
        return this.#subscribe(message);
      case MessageType.Complete:
        this.#operations.get(message.id)?.leave();
        this.#operations.delete(message.id);
        this.usedAtMs = Date.now();
        return;
      case MessageType.Pong:
        return;
      default:
        this.close(CloseCode.BadRequest, `Unexpected message of type ${message.type}.`);
    }
  }

  async #initialise({ payload }: ConnectionInitMessage): Promise<void> {
    if (this.#isInitialising) {
      this.close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests');
      return;
    }
    this.#isInitialising = true;
    const identity = await this.#authenticate(payload);
    // `onClosed` has run already if the socket closed meanwhile.
    if (!identity || this.#socket.readyState !== this.#socket.OPEN) return;
    const refusal = this.#options.onAuthenticated(this, identity);
    if (refusal !== undefined) {
      this.close(tryAgainLater, refusal);
      return;
    }
    this.identity = identity;
    this.send(JSON.stringify({ type: MessageType.ConnectionAck }));
  }

  /** A ping with a token is a new token for the connection. */
  async #answerPing({ payload }: PingMessage): Promise<void> {
    if (!this.identity || authorizationOf(payload) === undefined) {
      this.send(exactJson({ type: MessageType.Pong, ...(payload === undefined ? {} : { payload }) }) ?? '');
      return;
    }
    const identity = await this.#authenticate(payload);
    const before = this.identity;
    if (!identity || this.#socket.readyState !== this.#socket.OPEN) return;
    if (identity.tenant !== before.tenant || identity.subject !== before.subject) {
      this.close(CloseCode.Forbidden, 'The new token is of somebody else. Connect again with it.');
      return;
    }
    if (identity !== before) {
      this.identity = identity;
      const isSame = sameAuthority(before, identity);
      await Promise.all([...this.#operations.values()].map((operation) => operation.authorizeAnew(isSame)));
    }
    const expiresAt = new Date(identity.expiresAtMs).toISOString();
    this.send(JSON.stringify({ type: MessageType.Pong, payload: { authorized: true, expiresAt } }));
  }

  /** The identity of the token, or of a later one if held already. A bad one closes the connection. */
  async #authenticate(payload: TokenPayload): Promise<Identity | undefined> {
    const taken = (await this.#token.take(payload)) ?? this.identity;
    if (!taken || !('code' in taken)) return taken;
    this.close(taken.code, taken.reason);
    return undefined;
  }

  async #subscribe({ id, payload }: SubscribeMessage): Promise<void> {
    if (!this.isAcknowledged) {
      this.close(CloseCode.Unauthorized, 'Unauthorized');
      return;
    }
    if (this.#operations.has(id)) {
      this.close(CloseCode.SubscriberAlreadyExists, `Subscriber for ${id} already exists`);
      return;
    }
    if (this.#operations.size >= this.#options.maxOperations) {
      this.#options.metrics.refused.inc({ limit: 'operations_per_connection' });
      const message = `A connection runs at most ${this.#options.maxOperations} operations at once. End one of them first.`;
      this.sendError(id, [{ message, extensions: { code: 'RATE_LIMITED' } }]);
      return;
    }
    const operation = new SocketOperation(id, this);
    this.#operations.set(id, operation);
    try {
      await this.#begin(operation, payload);
    } catch (error) {
      if (operation.hasEnded) return;
      operation.error([this.present(error)]);
    }
  }

  async #begin(operation: SocketOperation, payload: SubscribeMessage['payload']): Promise<void> {
    const { findOperation, executeOnce, engine } = this.#options;
    const operationName = payload.operationName ?? undefined;
    const [variables, extensions] = [payload.variables ?? {}, payload.extensions ?? undefined];
    // Verifies the token before any costly work.
    const context = await this.contextOf(extensions);
    if (operation.hasEnded) return;
    const found = findOperation({ query: payload.query, operationName });
    if (!('document' in found)) {
      operation.error(found.map((fault) => this.present(fault)));
      return;
    }
    if (found.isSubscription) {
      const plan = await found.admit(context.identity, variables, context).subscriptionPlan();
      if (operation.hasEnded) return;
      const wish = { document: found.document, operationName, variables, extensions };
      operation.follow(wish, engine.subscribe({ plan, variables, context }, operation));
      return;
    }
    const { text } = await executeOnce({ operation: found, variables, context, signal: operation.abortSignal() });
    if (operation.hasEnded) return;
    this.send(`{"id":${JSON.stringify(operation.id)},"type":"${MessageType.Next}","payload":${text}}`);
    operation.complete();
  }

  async planAgain(wish: Wish, context: GatewayContext): Promise<SubscriptionPlan> {
    return admitAgain(this.#options.peekOperation, { ...wish, identity: context.identity, choice: context });
  }

  resubscribe(
    plan: SubscriptionPlan,
    wish: Wish,
    context: GatewayContext,
    since: string | undefined,
    subscriber: Subscriber,
  ): Subscription {
    return this.#options.engine.subscribe({ plan, variables: wish.variables, context, since }, subscriber);
  }

  contextOf(extensions: Wish['extensions']): Promise<GatewayContext> {
    return this.#token.contextOf(extensions);
  }

  present(error: unknown): GraphQLFormattedError {
    return presentError(error, this.#options.formatError);
  }

  sendError(id: string, errors: readonly GraphQLFormattedError[]): void {
    this.send(JSON.stringify({ id, type: MessageType.Error, payload: errors }));
  }

  #leaveAll(why?: Departure): void {
    for (const operation of this.#operations.values()) operation.leave(why);
    this.#operations.clear();
  }
}

const textFrame = { binary: false } as const;

/** Close code for what goes against the rules of the server (RFC 6455, section 7.4.1). */
const policyViolation = 1008;
