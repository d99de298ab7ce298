/**
 * Subscriptions at the subgraphs: graphql-ws over one connection a subgraph, made when it is first needed, shared by all
 * subscriptions. Each operation carries the token of its subscriber.
 */
import { createClient, type Client } from 'graphql-ws';
import type { FormattedExecutionResult } from 'graphql';
import { GraphQLError } from 'graphql';
import { WebSocket } from 'ws';
import { FleetgraphError } from '../../platform/errors.js';
import type { Logger } from '../../platform/observability/logger.js';

export type UpstreamEvent = FormattedExecutionResult<Record<string, unknown>>;

export interface UpstreamOperation {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly extensions: Readonly<Record<string, unknown>>;
}

export interface Upstreams {
  /**
   * Subscribes at a subgraph. The iterator throws what the subgraph ended the operation with, or FleetgraphError
   * UNAVAILABLE when the connection breaks or the reader falls too far behind. Leaving it unsubscribes.
   */
  subscribe(subgraph: string, operation: UpstreamOperation): AsyncGenerator<UpstreamEvent, void, undefined>;
  readonly close: () => Promise<void>;
}

/** Events that may wait for one reader. The subgraph conflates what can be; behind this, the reader is lost. */
const maxWaiting = 1_000;

export function createUpstreams(options: { urls: Readonly<Record<string, () => string>>; log: Logger }): Upstreams {
  const clients = new Map<string, Client>();
  const clientOf = (subgraph: string): Client => {
    const known = clients.get(subgraph);
    if (known) return known;
    const url = options.urls[subgraph];
    if (!url) throw new Error(`The supergraph has a subgraph "${subgraph}", whose address the gateway was not given.`);
    const client = createClient({
      url: url().replace(/^http/, 'ws'),
      webSocketImpl: WebSocket,
      // A broken connection ends its subscriptions with an error; the next subscription makes a new one.
      retryAttempts: 0,
      lazyCloseTimeout: 5_000,
      keepAlive: 10_000,
      onNonLazyError: () => undefined,
      on: {
        closed: (event) =>
          options.log.debug({ subgraph, code: (event as { code?: number }).code }, 'upstream connection closed'),
      },
    });
    clients.set(subgraph, client);
    return client;
  };
  return {
    subscribe: (subgraph, operation) => events(clientOf(subgraph), operation),
    async close() {
      await Promise.all([...clients.values()].map(async (client) => client.dispose()));
      clients.clear();
    },
  };
}

async function* events(
  client: Client,
  { query, variables, extensions }: UpstreamOperation,
): AsyncGenerator<UpstreamEvent, void, undefined> {
  const waiting: UpstreamEvent[] = [];
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
        if (waiting.length >= maxWaiting) {
          end({
            error: new FleetgraphError(
              'UNAVAILABLE',
              'The subscription fell too far behind and was ended. Subscribe again with "since" set to the last cursor.',
            ),
          });
          return;
        }
        waiting.push(event as UpstreamEvent);
        wake();
      },
      error: (error) => end({ error: errorOf(error) }),
      complete: () => end({}),
    },
  );
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
  return new FleetgraphError(
    'UNAVAILABLE',
    'The stream was interrupted. Subscribe again, with "since" set to the last cursor where the field takes it.',
    { cause: error },
  );
}
