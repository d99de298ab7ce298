import { Counter } from 'prom-client';
import type { Registry } from '../../../platform/observability/metrics.js';
import type { Moved } from './move-alerts.js';

export interface AlertMetrics {
  /** Counts what has happened to alerts, after the commit. */
  moved(moved: readonly Moved[]): void;
}

/** `fleetgraph_alerts_total`: what has happened to alerts. */
export function createAlertMetrics(registry: Registry): AlertMetrics {
  const total = new Counter({
    name: 'fleetgraph_alerts_total',
    help: 'What has happened to alerts: raised, repeated, held, cleared, acknowledged, commented.',
    labelNames: ['what', 'severity'],
    registers: [registry],
  });
  return {
    moved(moved) {
      for (const { type, alert } of moved) total.inc({ what: type.split('.')[3] ?? type, severity: alert.severity });
    },
  };
}
