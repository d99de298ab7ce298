/**
 * Subscriptions at the subgraphs: one connection a subgraph (upstream-connection.ts), shared by all streams. Each operation
 * carries the token of its subscriber.
 */
import type { Logger } from '../../platform/observability/logger.js';
import { createOutageLog } from '../../platform/observability/outage-log.js';
import { UpstreamConnection, type UpstreamOperation, type UpstreamSink } from './upstream-connection.js';

export type { UpstreamEvent } from './event-frame.js';

export interface Upstreams {
  /**
   * Subscribes at a subgraph: what comes goes to the sink, never before this returns.
   * @returns a function that leaves the stream: nothing comes any more, neither an event nor the end.
   */
  subscribe(subgraph: string, operation: UpstreamOperation, sink: UpstreamSink): () => void;
  readonly close: () => Promise<void>;
}

export interface UpstreamsOptions {
  readonly urls: Readonly<Record<string, () => string>>;
  readonly log: Logger;
  /** Milliseconds between two pings, and for which a pong is waited for (default 10,000). */
  readonly keepAliveMs?: number;
  /** How long a connection that nobody needs is kept, milliseconds (default 5,000). */
  readonly lingerMs?: number;
}

export function createUpstreams(options: UpstreamsOptions): Upstreams {
  const { log, keepAliveMs = 10_000, lingerMs = 5_000 } = options;
  const outages = createOutageLog({ log, event: 'upstream connection failed' });
  const connections = new Map<string, UpstreamConnection>();
  const connectionTo = (subgraph: string): UpstreamConnection => {
    const url = options.urls[subgraph]?.().replace(/^http/, 'ws');
    // A new supergraph may have it elsewhere. Its streams go on where they are until that ends, and come again here.
    const place = `${subgraph} ${url ?? ''}`;
    const known = connections.get(place);
    if (known) return known;
    if (url === undefined)
      throw new Error(`The supergraph has a subgraph "${subgraph}", whose address the gateway was not given.`);
    const made = new UpstreamConnection({ subgraph, url, log, outages, keepAliveMs, lingerMs });
    connections.set(place, made);
    return made;
  };
  return {
    subscribe(subgraph, operation, sink) {
      const connection = connectionTo(subgraph);
      const id = connection.subscribe(operation, sink);
      return () => connection.leave(id);
    },
    async close() {
      await Promise.all([...connections.values()].map((connection) => connection.close()));
      connections.clear();
    },
  };
}
