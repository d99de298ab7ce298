/**
 * The metrics of several processes as those of one: counters, histograms and gauges are added up; of the delays of event loops
 * the longest counts, which prom-client would average.
 * Invariant: counters never go back when a process dies: what it was last seen with stays in the sums, since Prometheus would take
 * the rest for a restart.
 */
import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue, type Registry } from 'prom-client';

export type ProcessMetrics = readonly MetricObjectWithValues<MetricValue<string>>[];

export interface SummedMetrics {
  /** Text for Prometheus. @param live of every process that lives. */
  text(live: readonly ProcessMetrics[]): Promise<string>;
  /** A process is gone. @param last what it was last seen with. */
  retire(last: ProcessMetrics): void;
}

export async function metricsOf(registry: Registry): Promise<ProcessMetrics> {
  return registry.getMetricsAsJSON();
}

export function createSummedMetrics(): SummedMetrics {
  let retired: Promise<ProcessMetrics> = Promise.resolve([]);
  return {
    text: async (live) => sum([...live, await retired]).metrics(),
    retire(last) {
      const counted = last.filter(({ type }) => ['counter', 'histogram'].includes(String(type)));
      retired = retired.then(async (before) => metricsOf(sum([before, counted])));
    },
  };
}

function sum(all: readonly ProcessMetrics[]): Registry {
  const ofDelays = /^nodejs_eventloop_lag_(?!min_)/;
  return AggregatorRegistry.aggregate(
    all.map((metrics) =>
      metrics.map((metric) => (ofDelays.test(metric.name) ? { ...metric, aggregator: 'max' } : metric)),
    ),
  );
}
