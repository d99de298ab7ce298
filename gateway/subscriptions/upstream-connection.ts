/**
 * The connection to a subgraph, which all of its streams share: the client's side of graphql-transport-ws
 * (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md). It is made when a stream needs it, and left a while after
 * the last one. When it breaks, each stream is told so; whether it is taken up again is for the stream to decide, by its cursor.
 * A connection whose other end has fallen silent is found by its missing pongs: the protocol itself would wait for ever.
 *
 * It is spoken here, and not by the client of graphql-ws, because that parses each payload, which most streams pass on as it
 * is, and keeps several promises and closures for each of the ten thousand streams that are silent.
 */
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL, MessageType } from 'graphql-ws';
import { WebSocket } from 'ws';
import { exactJson, parseExactJson } from '../../platform/json/exact-json.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { OutageLog } from '../../platform/observability/outage-log.js';
import { EventFrame, NotJson } from './event-frame.js';
import { StreamInterrupted } from './stream-interrupted.js';
import { EndedBySubgraph } from './subgraph-errors.js';
import { closedWith, upgradeAnsweredWith, UpstreamRefused } from './upstream-refused.js';

export interface UpstreamOperation {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** Who wants the events of an operation. */
export interface UpstreamSink {
  next(event: EventFrame): void;
  /**
   * The operation ended: with EndedBySubgraph; StreamInterrupted if the connection broke;
   * UpstreamRefused if a retry does not help; the error of an event that could not be processed;
   * without an error if it is complete.
   */
  end(error?: Error): void;
}

export interface UpstreamConnectionOptions {
  readonly subgraph: string;
  readonly url: string;
  readonly log: Logger;
  /** Told when it breaks, and when the subgraph has acknowledged it. */
  readonly outages: OutageLog;
  /** Between two pings, and for which anything is waited for behind one, milliseconds. */
  readonly keepAliveMs: number;
  /** How long a connection without streams is kept, milliseconds. */
  readonly lingerMs: number;
}

const connectTimeoutMs = 5_000;
/** How long the other end may take to close. */
const closeTimeoutMs = 1_000;
/** Characters of a message that a log line quotes. */
const maxQuoted = 200;

export class UpstreamConnection {
  readonly #options: UpstreamConnectionOptions;
  readonly #sinks = new Map<string, UpstreamSink>();
  /** What is said as soon as the connection is acknowledged, by id. */
  #unsent = new Map<string, UpstreamOperation>();
  #socket: WebSocket | undefined;
  #isAcknowledged = false;
  #timer: NodeJS.Timeout | undefined;
  #lingering: NodeJS.Timeout | undefined;
  #awaitsPong = false;
  #pingedAt = 0;
  #nextId = 0;

  constructor(options: UpstreamConnectionOptions) {
    this.#options = options;
  }

  /** Begins an operation. @returns its id, to leave it by. */
  subscribe(operation: UpstreamOperation, sink: UpstreamSink): string {
    clearTimeout(this.#lingering);
    this.#nextId += 1;
    const id = this.#nextId.toString(36);
    this.#sinks.set(id, sink);
    if (this.#isAcknowledged) this.#say({ id, type: MessageType.Subscribe, payload: operation });
    else this.#unsent.set(id, operation);
    if (!this.#socket) this.#connect();
    return id;
  }

  /** Nothing more comes of the operation. */
  leave(id: string): void {
    if (!this.#sinks.delete(id)) return;
    if (!this.#unsent.delete(id)) this.#say({ id, type: MessageType.Complete });
    this.#lingerIfUnused();
  }

  /** Ends the connection, and with it its streams. Resolves when it is closed. */
  async close(): Promise<void> {
    clearTimeout(this.#lingering);
    const socket = this.#socket;
    if (!socket) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    if (this.#isAcknowledged) socket.close(1000, 'Normal Closure');
    else socket.terminate();
    const impatience = setTimeout(() => socket.terminate(), closeTimeoutMs);
    await closed;
    clearTimeout(impatience);
  }

  #connect(): void {
    const { subgraph, url } = this.#options;
    const socket = new WebSocket(url, GRAPHQL_TRANSPORT_WS_PROTOCOL, {
      // An address that swallows packets must not be waited for as long as TCP would.
      handshakeTimeout: connectTimeoutMs,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    let reason: unknown;
    let isUpgraded = false;
    socket.once('upgrade', () => (isUpgraded = true));
    socket.once('unexpected-response', (_request, response) => {
      reason = upgradeAnsweredWith(subgraph, response.statusCode ?? 0);
      socket.terminate();
    });
    socket.once('open', () => {
      isUpgraded = false;
      this.#say({ type: MessageType.ConnectionInit });
    });
    socket.on('message', (data: Buffer) => {
      if (this.#socket === socket) this.#receive(data);
    });
    socket.on('error', (error) => {
      // After the upgrade and before `open`: the handshake is invalid, or the subprotocol another.
      reason ??= isUpgraded ? new UpstreamRefused(subgraph, 'INTERNAL_SERVER_ERROR', error.message) : error;
    });
    socket.once('close', (code, said) => this.#lose(socket, reason ?? closedWith(subgraph, code, said.toString())));
    this.#timer = setTimeout(() => {
      reason = new Error('the connection was not acknowledged in time');
      socket.terminate();
    }, connectTimeoutMs);
  }

  #lose(socket: WebSocket, reason: unknown, isViolation = false): void {
    if (this.#socket !== socket) return;
    clearTimeout(this.#timer);
    clearTimeout(this.#lingering);
    this.#socket = undefined;
    this.#isAcknowledged = false;
    this.#unsent = new Map();
    const sinks = [...this.#sinks.values()];
    this.#sinks.clear();
    // Without streams it does not matter.
    const { subgraph, log, outages } = this.#options;
    if (sinks.length > 0) {
      // Does not pass by itself, and each reason is one for somebody to look into.
      if (isViolation || reason instanceof UpstreamRefused)
        log.error({ subgraph, err: reason }, 'upstream connection refused');
      else outages.failed(subgraph, reason, { subgraph });
    }
    // All sinks share the error: it is presented and logged once.
    const ending = reason instanceof UpstreamRefused ? reason : new StreamInterrupted(reason);
    for (const sink of sinks) sink.end(ending);
  }

  #say(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(exactJson(message) ?? '');
  }

  #receive(frame: Buffer): void {
    this.#awaitsPong = false;
    try {
      const next = nextIn(frame);
      if (next) this.#next(next.id, next.payload);
      else this.#understand(parseExactJson(frame.toString()) as ServerMessage);
    } catch (error) {
      // What it says next can't be trusted either.
      this.#socket?.close(CloseCode.BadResponse, 'Bad response');
      const violation = new Error('the subgraph does not speak the protocol', { cause: error });
      if (this.#socket) this.#lose(this.#socket, violation, true);
    }
  }

  #understand(message: ServerMessage): void {
    switch (message.type) {
      case MessageType.ConnectionAck:
        this.#begin();
        return;
      case MessageType.Next:
        this.#next(message.id, Buffer.from(exactJson(message.payload) ?? 'null'));
        return;
      case MessageType.Error:
        this.#end(message.id, new EndedBySubgraph(this.#options.subgraph, message.payload));
        return;
      case MessageType.Complete:
        this.#end(message.id);
        return;
      case MessageType.Ping:
        this.#say({ type: MessageType.Pong, ...(message.payload === undefined ? {} : { payload: message.payload }) });
        return;
      case MessageType.Pong:
        return;
      default:
        throw new Error(`unexpected message: ${JSON.stringify(message).slice(0, maxQuoted)}`);
    }
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#isAcknowledged = true;
    this.#options.outages.succeeded(this.#options.subgraph);
    const unsent = this.#unsent;
    this.#unsent = new Map();
    for (const [id, payload] of unsent) this.#say({ id, type: MessageType.Subscribe, payload });
    this.#awaitsPong = false;
    this.#pingedAt = performance.now();
    this.#timer = setInterval(() => this.#keepAlive(), this.#options.keepAliveMs);
    this.#lingerIfUnused();
  }

  #keepAlive(): void {
    const { keepAliveMs } = this.#options;
    const now = performance.now();
    // While the process stood still no pong could be heard; one that has come meanwhile is read after this.
    const stoodStill = now - this.#pingedAt > 1.5 * keepAliveMs;
    this.#pingedAt = now;
    if (this.#awaitsPong && !stoodStill) {
      const socket = this.#socket;
      socket?.terminate();
      if (socket) this.#lose(socket, new Error('the subgraph answers no pings'));
      return;
    }
    this.#awaitsPong = true;
    this.#say({ type: MessageType.Ping });
  }

  /** @throws NotJson */
  #next(id: string, payload: Buffer): void {
    const sink = this.#sinks.get(id);
    if (!sink) return;
    try {
      sink.next(new EventFrame(payload));
    } catch (error) {
      if (error instanceof NotJson) throw error;
      // The connection is everybody's: what one stream can't take is the end of that one.
      this.leave(id);
      sink.end(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #end(id: string, error?: Error): void {
    const sink = this.#sinks.get(id);
    if (!this.#sinks.delete(id)) return;
    sink?.end(error);
    this.#lingerIfUnused();
  }

  #lingerIfUnused(): void {
    clearTimeout(this.#lingering);
    if (this.#sinks.size > 0 || !this.#isAcknowledged) return;
    this.#lingering = setTimeout(() => this.#part(), this.#options.lingerMs);
  }

  /** Lets go of the connection at once: who comes while it is being closed gets another. */
  #part(): void {
    const socket = this.#socket;
    clearTimeout(this.#timer);
    this.#socket = undefined;
    this.#isAcknowledged = false;
    if (!socket) return;
    socket.close(1000, 'Normal Closure');
    const impatience = setTimeout(() => socket.terminate(), closeTimeoutMs);
    socket.once('close', () => clearTimeout(impatience));
  }
}

type ServerMessage =
  | { readonly type: MessageType.ConnectionAck | MessageType.Pong }
  | { readonly type: MessageType.Ping; readonly payload?: unknown }
  | { readonly type: MessageType.Next; readonly id: string; readonly payload: unknown }
  | { readonly type: MessageType.Error; readonly id: string; readonly payload: unknown }
  | { readonly type: MessageType.Complete; readonly id: string };

const frameHead = '{"id":"';
const quotationMark = '"'.charCodeAt(0);
const closingBrace = '}'.charCodeAt(0);
const behindId = `","type":"${MessageType.Next}","payload":`;

/** The id and the payload of a `next` whose members are in the usual order; undefined for anything else. */
function nextIn(frame: Buffer): { readonly id: string; readonly payload: Buffer } | undefined {
  const idEnd = frame.indexOf(quotationMark, frameHead.length);
  const payloadStart = idEnd + behindId.length;
  if (idEnd === -1 || frame.at(-1) !== closingBrace || frame.toString('latin1', 0, frameHead.length) !== frameHead)
    return undefined;
  if (frame.toString('latin1', idEnd, payloadStart) !== behindId) return undefined;
  // Ids are our own, and need no escapes.
  return {
    id: frame.toString('latin1', frameHead.length, idEnd),
    payload: frame.subarray(payloadStart, frame.length - 1),
  };
}
