import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface ConsumerMetrics {
  events(result: 'handled' | 'skipped' | 'dead_lettered' | 'replayed', count: number): void;
  blocked(blocked: boolean): void;
  /** Starts the clock of a batch; call the result when it is done. */
  startBatch(): () => void;
}

/** Metrics of one consumer. The metrics themselves are shared by all consumers of the process. */
export function createConsumerMetrics(registry: Registry, consumer: string): ConsumerMetrics {
  const events = existing(
    registry,
    'fleetgraph_consumer_events_total',
    (name) =>
      new Counter({
        name,
        help: 'Events by consumer and result.',
        labelNames: ['consumer', 'result'],
        registers: [registry],
      }),
  );
  const blocked = existing(
    registry,
    'fleetgraph_consumer_blocked',
    (name) =>
      new Gauge({
        name,
        help: '1 while a consumer waits for its infrastructure.',
        labelNames: ['consumer'],
        registers: [registry],
      }),
  );
  const seconds = existing(
    registry,
    'fleetgraph_consumer_batch_seconds',
    (name) =>
      new Histogram({
        name,
        help: 'Time to handle a batch.',
        labelNames: ['consumer'],
        buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
        registers: [registry],
      }),
  );
  return {
    events: (result, count) => events.inc({ consumer, result }, count),
    blocked: (isBlocked) => blocked.set({ consumer }, isBlocked ? 1 : 0),
    startBatch: () => seconds.startTimer({ consumer }),
  };
}

/** The metric of this name, made on first use: prom-client refuses a second registration. */
function existing<Metric>(registry: Registry, name: string, make: (name: string) => Metric): Metric {
  return (registry.getSingleMetric(name) as Metric | undefined) ?? make(name);
}
