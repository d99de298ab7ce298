import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type GatewayMetrics = ReturnType<typeof createGatewayMetrics>;

export function createGatewayMetrics(registry: Registry) {
  const registers = [registry];
  return {
    requests: new Counter({
      name: 'fleetgraph_gateway_requests_total',
      help: 'Queries and mutations by outcome.',
      labelNames: ['type', 'outcome'],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'fleetgraph_gateway_request_seconds',
      help: 'Time to answer a query or mutation.',
      labelNames: ['type'],
      buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10],
      registers,
    }),
    fetchSeconds: new Histogram({
      name: 'fleetgraph_gateway_subgraph_fetch_seconds',
      help: 'Time of a fetch from a subgraph.',
      labelNames: ['subgraph'],
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10],
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
