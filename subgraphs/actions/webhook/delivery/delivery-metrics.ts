import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from '../../../../platform/observability/metrics.js';
import type { PostResult } from '../endpoint/post.js';
import type { Outcome } from './claim.js';

export interface DeliveryMetrics {
  /** Counts an attempt, after it is recorded. */
  attempted(outcome: Outcome, result: PostResult): void;
  /** How long a delivery was due before its attempt began. */
  waited(seconds: number): void;
  /** Attempts that are under way in this process. */
  underWay(count: number): void;
}

/** The metrics of deliveries: `fleetgraph_webhook_attempts_total` and how long things take. */
export function createDeliveryMetrics(registry: Registry): DeliveryMetrics {
  const registers = [registry];
  const attempts = new Counter({
    name: 'fleetgraph_webhook_attempts_total',
    help: 'Attempts to deliver to a webhook, by what became of the delivery.',
    labelNames: ['outcome'],
    registers,
  });
  const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60];
  const latency = new Histogram({
    name: 'fleetgraph_webhook_attempt_seconds',
    help: 'How long endpoints of webhooks took to answer, or not to.',
    buckets,
    registers,
  });
  const waiting = new Histogram({
    name: 'fleetgraph_webhook_wait_seconds',
    help: 'How long a delivery was due before its attempt began.',
    buckets,
    registers,
  });
  const underWay = new Gauge({
    name: 'fleetgraph_webhook_attempts_under_way',
    help: 'Attempts that are under way in this process.',
    registers,
  });
  return {
    attempted(outcome, result) {
      attempts.inc({ outcome });
      latency.observe(result.latencyMs / 1_000);
    },
    waited: (seconds) => waiting.observe(Math.max(0, seconds)),
    underWay: (count) => underWay.set(count),
  };
}
