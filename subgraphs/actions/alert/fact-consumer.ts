/** Raises and ends alerts by what rules say: a consumer of `fleetgraph.events`, a batch a transaction. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { topics } from '../../../backbone/bus/topics.js';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import type { Event } from '../../../backbone/events/envelope.js';
import { inTransaction } from '../../../platform/database/sql.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import type { AlertMetrics } from './alert-metrics.js';
import { moveAlerts, type Move } from './move-alerts.js';

export function createFactConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
  alertMetrics: AlertMetrics;
  wakeRelay: () => void;
}): Role {
  const { bus, pool, log, metrics } = options;
  return createConsumer({
    name: 'actions-alerts',
    topics: [topics.events],
    bus,
    pool,
    log,
    metrics,
    types: ['io.fleetgraph.rule.fired.v1', 'io.fleetgraph.rule.recovered.v1'],
    async handle(events) {
      const moves = events.flatMap(({ event }) => moveOf(event));
      const moved = await inTransaction(pool, (sql) => moveAlerts(sql, moves));
      options.alertMetrics.moved(moved);
      if (moved.length > 0) options.wakeRelay();
    },
  });
}

function moveOf(event: Event): readonly Move[] {
  const cause = { traceparent: event.traceparent, correlationid: event.correlationid, causationid: event.id };
  if (event.type === 'io.fleetgraph.rule.fired.v1') {
    const { version: _version, sequence, at, ...data } = event.data;
    const { tenant } = event;
    const slot = { tenant, ruleId: data.ruleId, deviceId: data.deviceId };
    return [
      { slot, cause, sequence, input: { kind: 'fired', ...data, atMs: Date.parse(at), tenant, alertId: randomUUID() } },
    ];
  }
  if (event.type === 'io.fleetgraph.rule.recovered.v1') {
    const { ruleId, deviceId, sequence, at, cause: why } = event.data;
    const slot = { tenant: event.tenant, ruleId, deviceId };
    return [{ slot, cause, sequence, input: { kind: 'recovered', atMs: Date.parse(at), cause: why } }];
  }
  return [];
}
