/**
 * Subscriptions at the subgraphs: graphql-ws over one connection a subgraph, made when it is first needed, shared by all
 * subscriptions. Each operation carries the token of its subscriber. A connection whose other end has fallen silent is
 * found by its missing pongs: the protocol itself would wait for ever.
 */
import { createClient, type Client } from 'graphql-ws';
import { GraphQLError, type FormattedExecutionResult } from 'graphql';
import { WebSocket } from 'ws';
import { FleetgraphError } from '../../platform/errors.js';
import type { Logger } from '../../platform/observability/logger.js';

export type UpstreamEvent = FormattedExecutionResult<Record<string, unknown>>;

export interface UpstreamOperation {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** The stream broke off for a reason that has nothing to do with the operation: it may be taken up again. */
export class StreamInterrupted extends FleetgraphError {
  constructor(cause: unknown) {
    super(
      'UNAVAILABLE',
      'The stream was interrupted. Subscribe again, with "since" set to the last cursor where the field takes it.',
      { cause },
    );
    this.name = 'StreamInterrupted';
  }
}

export interface Upstreams {
  /**
   * Subscribes at a subgraph until the signal is aborted. The iterator throws what the subgraph ended the operation with,
   * or StreamInterrupted when the connection breaks or the reader falls too far behind; what came before is given first.
   */
  subscribe(
    subgraph: string,
    operation: UpstreamOperation,
    signal: AbortSignal,
  ): AsyncGenerator<UpstreamEvent, void, undefined>;
  readonly close: () => Promise<void>;
}

export interface UpstreamsOptions {
  readonly urls: Readonly<Record<string, () => string>>;
  readonly log: Logger;
  /** Events that may wait for one reader (default 1,000); behind that the stream is broken off. */
  readonly maxWaiting?: number;
  /** Milliseconds between two pings, and for which a pong is waited for (default 10,000). */
  readonly keepAliveMs?: number;
}

const connectTimeoutMs = 5_000;

/** An address that swallows packets must not be waited for as long as TCP would. */
class ImpatientWebSocket extends WebSocket {
  constructor(url: string, protocols: string | string[]) {
    super(url, protocols, { handshakeTimeout: connectTimeoutMs });
  }
}

export function createUpstreams(options: UpstreamsOptions): Upstreams {
  const { log, maxWaiting = 1_000, keepAliveMs = 10_000 } = options;
  const clients = new Map<string, Client>();
  const clientOf = (subgraph: string): Client => {
    const known = clients.get(subgraph);
    if (known) return known;
    const url = options.urls[subgraph];
    if (!url) throw new Error(`The supergraph has a subgraph "${subgraph}", whose address the gateway was not given.`);
    let silence: NodeJS.Timeout | undefined;
    const client = createClient({
      url: url().replace(/^http/, 'ws'),
      webSocketImpl: ImpatientWebSocket,
      connectionAckWaitTimeout: connectTimeoutMs,
      // Whether a broken stream is taken up again is decided for each operation, by its cursor.
      retryAttempts: 0,
      lazyCloseTimeout: 5_000,
      keepAlive: keepAliveMs,
      onNonLazyError: () => undefined,
      on: {
        ping(received) {
          if (received) return;
          silence = setTimeout(() => {
            log.warn({ subgraph }, 'upstream connection is silent and is given up');
            client.terminate();
          }, keepAliveMs);
        },
        pong(received) {
          if (received) clearTimeout(silence);
        },
        closed(event) {
          clearTimeout(silence);
          log.debug({ subgraph, code: (event as { code?: number }).code }, 'upstream connection closed');
        },
      },
    });
    clients.set(subgraph, client);
    return client;
  };
  return {
    subscribe: (subgraph, operation, signal) => events(clientOf(subgraph), operation, maxWaiting, signal),
    async close() {
      await Promise.all([...clients.values()].map(async (client) => client.dispose()));
      clients.clear();
    },
  };
}

async function* events(
  client: Client,
  { query, variables, extensions }: UpstreamOperation,
  maxWaiting: number,
  signal: AbortSignal,
): AsyncGenerator<UpstreamEvent, void, undefined> {
  if (signal.aborted) return;
  let waiting: UpstreamEvent[] = [];
  let ended: { readonly error?: Error } | undefined;
  let wake: () => void = () => undefined;
  const end = (how: { readonly error?: Error }): void => {
    ended ??= how;
    wake();
  };
  const unsubscribe = client.subscribe(
    { query, variables: { ...variables }, extensions: { ...extensions } },
    {
      next(event) {
        if (ended) return;
        if (waiting.length >= maxWaiting) {
          // The connection is everybody's: it can't be held back for one reader.
          end({ error: new StreamInterrupted(new Error(`more than ${maxWaiting} events waited for their reader`)) });
          unsubscribe();
          return;
        }
        waiting.push(event as UpstreamEvent);
        wake();
      },
      error: (error) => end({ error: errorOf(error) }),
      complete: () => end({}),
    },
  );
  const leave = (): void => {
    waiting = [];
    end({});
  };
  signal.addEventListener('abort', leave, { once: true });
  try {
    for (;;) {
      const event = waiting.shift();
      if (event) yield event;
      else if (ended) {
        if (ended.error !== undefined) throw ended.error;
        return;
      } else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    signal.removeEventListener('abort', leave);
    unsubscribe();
  }
}

/** What graphql-ws reports: the errors that the subgraph sent, or the close of the connection. */
function errorOf(error: unknown): Error {
  if (Array.isArray(error)) {
    const [first] = error as readonly { readonly message?: string; readonly extensions?: Record<string, unknown> }[];
    return new GraphQLError(first?.message ?? 'The subgraph ended the subscription.', {
      extensions: first?.extensions ?? { code: 'UNAVAILABLE' },
    });
  }
  return new StreamInterrupted(error);
}
