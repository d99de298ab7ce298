import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from '../../platform/observability/metrics.js';

/** The orchestrator's metrics, made once per registry. */
export interface OrchestratorMetrics {
  readonly readings: Counter<'outcome'>;
  readonly transitions: Counter<'kind'>;
  readonly faults: Counter;
  readonly rules: Gauge;
  readonly change: Gauge;
  readonly sweepLag: Gauge;
  readonly batchSeconds: Histogram;
  /** From the arrival of the newest reading of a batch to the commit of what rules say of it. */
  readonly delaySeconds: Histogram;
}

export function createOrchestratorMetrics(registry: Registry): OrchestratorMetrics {
  const registers = [registry];
  return {
    readings: new Counter({
      name: 'fleetgraph_orchestrator_readings_total',
      help: 'Readings by what became of them: asked (some rule of the tenant looks at the metric), skipped.',
      labelNames: ['outcome'],
      registers,
    }),
    transitions: new Counter({
      name: 'fleetgraph_orchestrator_transitions_total',
      help: 'Rules that fired or recovered for a device.',
      labelNames: ['kind'],
      registers,
    }),
    faults: new Counter({
      name: 'fleetgraph_orchestrator_rule_faults_total',
      help: 'Evaluations of a rule that failed; the rule kept its state, the others went on.',
      registers,
    }),
    rules: new Gauge({
      name: 'fleetgraph_orchestrator_rules',
      help: 'Rules that are asked.',
      registers,
    }),
    change: new Gauge({
      name: 'fleetgraph_orchestrator_rule_change',
      help: 'Number of the last change of rules that this instance has read; all instances come to the same.',
      registers,
    }),
    sweepLag: new Gauge({
      name: 'fleetgraph_orchestrator_sweep_lag_seconds',
      help: 'How long the device is overdue that should have been looked at first, because time has passed.',
      registers,
    }),
    batchSeconds: new Histogram({
      name: 'fleetgraph_orchestrator_batch_seconds',
      help: 'How long the rules took for a batch of readings, with the transaction.',
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
      registers,
    }),
    delaySeconds: new Histogram({
      name: 'fleetgraph_orchestrator_delay_seconds',
      help: 'From the arrival of the newest reading of a batch to the commit of what rules say of it.',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300],
      registers,
    }),
  };
}
