import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { createRequestCounter, createRequestHistogram } from '../platform/observability/request-metrics.js';

/** Told of what becomes of lookups in a cache. */
export interface CacheObserver {
  hit(): void;
  miss(): void;
  /** One gave way to others. */
  evicted(): void;
}

export type GatewayMetrics = ReturnType<typeof createGatewayMetrics>;

export function createGatewayMetrics(registry: Registry) {
  const registers = [registry];
  return {
    requests: createRequestCounter({
      name: 'fleetgraph_gateway_requests_total',
      help: 'Queries and mutations by outcome: ok, error, or aborted by a client that went away.',
      labelNames: ['type', 'outcome'],
      registry,
    }),
    requestSeconds: createRequestHistogram({
      name: 'fleetgraph_gateway_request_seconds',
      help: 'Time to answer a query or mutation.',
      labelNames: ['type'],
      buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10],
      registry,
    }),
    fetchSeconds: createRequestHistogram({
      name: 'fleetgraph_gateway_subgraph_fetch_seconds',
      help: 'Time of a fetch from a subgraph.',
      labelNames: ['subgraph'],
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10],
      registry,
    }),
    cacheLookups: createRequestCounter({
      name: 'fleetgraph_gateway_cache_lookups_total',
      help: 'Lookups of operations (parsed, validated and guarded, by their text), plans, texts of persisted queries, and responses that are kept.',
      labelNames: ['cache', 'outcome'],
      registry,
    }),
    cacheEvictions: new Counter({
      name: 'fleetgraph_gateway_cache_evictions_total',
      help: 'Operations, texts of persisted queries and responses that gave way to others.',
      labelNames: ['cache'],
      registers,
    }),
    planSeconds: new Histogram({
      name: 'fleetgraph_gateway_plan_seconds',
      help: 'Time to plan and compile an operation.',
      buckets: [0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 2],
      registers,
    }),
    supergraphUpdates: new Counter({
      name: 'fleetgraph_gateway_supergraph_updates_total',
      help: 'Attempts to get a new supergraph, by outcome: applied, rejected (it can not be used), failed (there is none).',
      labelNames: ['outcome'],
      registers,
    }),
    supergraphSuccess: new Gauge({
      name: 'fleetgraph_gateway_supergraph_last_success_timestamp_seconds',
      help: 'Unix time at which the newest supergraph of the source was last seen to be in use.',
      // Of several workers, the one that is behind.
      aggregator: 'min',
      registers,
    }),
    sockets: new Gauge({ name: 'fleetgraph_gateway_websockets', help: 'Open WebSocket connections.', registers }),
    subscriptions: new Gauge({ name: 'fleetgraph_gateway_subscriptions', help: 'Running subscriptions.', registers }),
    sharedStreams: new Gauge({
      name: 'fleetgraph_gateway_shared_streams',
      help: 'Streams at subgraphs that the subscriptions share.',
      registers,
    }),
    events: new Counter({
      name: 'fleetgraph_gateway_subscription_events_total',
      help: 'Payloads sent to subscribers.',
      registers,
    }),
    conflated: new Counter({
      name: 'fleetgraph_gateway_subscription_conflated_total',
      help: 'Payloads that a slow client was not sent, because a later one made them obsolete.',
      registers,
    }),
    refused: new Counter({
      name: 'fleetgraph_gateway_subscriptions_refused_total',
      help: 'Connections and subscriptions beyond a limit.',
      labelNames: ['limit'],
      registers,
    }),
    ended: new Counter({
      name: 'fleetgraph_gateway_subscriptions_ended_total',
      help: 'Subscriptions that ended, by reason: complete, error, lagged, left, expired, stopping.',
      labelNames: ['reason'],
      registers,
    }),
  };
}

/** An observer of one of the caches, whose lookups and evictions are counted. */
export function cacheObserver(
  metrics: GatewayMetrics,
  cache: 'operations' | 'plans' | 'persisted_queries' | 'responses',
): CacheObserver {
  const hits = metrics.cacheLookups.labels({ cache, outcome: 'hit' });
  const misses = metrics.cacheLookups.labels({ cache, outcome: 'miss' });
  const evictions = metrics.cacheEvictions.labels({ cache });
  return { hit: () => hits.inc(), miss: () => misses.inc(), evicted: () => evictions.inc() };
}
