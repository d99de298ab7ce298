import { collectDefaultMetrics, Registry } from 'prom-client';

/** The registry of one process. Each part makes its own metrics in it, named `fleetgraph_<part>_<what>_<unit>`. */
export function createMetrics(options: { processMetrics: boolean }): Registry {
  const registry = new Registry();
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  return registry;
}

export type { Registry };
