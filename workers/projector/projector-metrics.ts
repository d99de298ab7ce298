import { Counter, Histogram } from 'prom-client';
import type { Registry } from '../../platform/observability/metrics.js';

/** The projector's metrics, made once per registry. */
export interface ProjectorMetrics {
  readonly readings: Counter<'outcome'>;
  readonly changes: Counter<'entity'>;
  readonly unpublished: Counter;
  readonly batchSeconds: Histogram<'consumer'>;
  /** From the arrival of a reading at the bridge to its commit here. */
  readonly delaySeconds: Histogram;
}

export function createProjectorMetrics(registry: Registry): ProjectorMetrics {
  const registers = [registry];
  return {
    readings: new Counter({
      name: 'fleetgraph_projector_readings_total',
      help: 'Readings by what became of them: stored, repeated (stored before), refused (too old, too far ahead, of another tenant).',
      labelNames: ['outcome'],
      registers,
    }),
    changes: new Counter({
      name: 'fleetgraph_projector_changes_total',
      help: 'Changes added to the change log.',
      labelNames: ['entity'],
      registers,
    }),
    unpublished: new Counter({
      name: 'fleetgraph_projector_changes_unpublished_total',
      help: 'Changes that are in the log but could not be published on the bus.',
      registers,
    }),
    batchSeconds: new Histogram({
      name: 'fleetgraph_projector_batch_seconds',
      help: 'How long a batch took to apply and publish.',
      labelNames: ['consumer'],
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
      registers,
    }),
    delaySeconds: new Histogram({
      name: 'fleetgraph_projector_telemetry_delay_seconds',
      help: 'From the arrival of the newest reading of a batch to the commit of the batch.',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300],
      registers,
    }),
  };
}
