/** Keeps `actions.metric_declarations` by the events of device types: a consumer of `fleetgraph.events`. */
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { topics } from '../../../backbone/bus/topics.js';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import { sqlOf } from '../../../platform/database/sql.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { saveDeclarations } from './rule-rows.js';

export function createDeclarationConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
}): Role {
  const { pool } = options;
  return createConsumer({
    ...options,
    name: 'actions-declarations',
    topics: [topics.events],
    types: ['io.fleetgraph.device-type.defined.v1'],
    async handle(events) {
      const declarations = events.flatMap(({ event }) =>
        event.type === 'io.fleetgraph.device-type.defined.v1' ? [{ ...event.data, tenant: event.tenant }] : [],
      );
      await saveDeclarations(sqlOf(pool), declarations);
    },
  });
}
