import { Counter, Gauge } from 'prom-client';
import type { Registry } from '../../platform/observability/metrics.js';

/** The metrics of the query subgraph, made once per registry. */
export interface QueryMetrics {
  readonly sockets: Gauge;
  readonly subscriptions: Gauge<'stream'>;
  /** Changes that had to be read from the log because the bus did not bring them in time. */
  readonly changesFromLog: Counter;
  readonly overflows: Counter<'stream'>;
  readonly consistencyWaits: Counter<'outcome'>;
}

export function createQueryMetrics(registry: Registry): QueryMetrics {
  const registers = [registry];
  return {
    sockets: new Gauge({ name: 'fleetgraph_query_sockets', help: 'Open WebSockets.', registers }),
    subscriptions: new Gauge({
      name: 'fleetgraph_query_subscriptions',
      help: 'Running subscriptions.',
      labelNames: ['stream'],
      registers,
    }),
    changesFromLog: new Counter({
      name: 'fleetgraph_query_changes_from_log_total',
      help: 'Changes that were read from the change log because the bus did not bring them in time.',
      registers,
    }),
    overflows: new Counter({
      name: 'fleetgraph_query_subscription_overflows_total',
      help: 'Subscriptions that ended because their client read too slowly.',
      labelNames: ['stream'],
      registers,
    }),
    consistencyWaits: new Counter({
      name: 'fleetgraph_query_consistency_waits_total',
      help: 'Waits for the event of a consistency token, or of what was made a moment ago, by outcome: at_once, waited, timed_out.',
      labelNames: ['outcome'],
      registers,
    }),
  };
}
