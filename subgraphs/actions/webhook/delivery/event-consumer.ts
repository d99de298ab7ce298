/**
 * Queues domain events for the webhooks that ask for them: a consumer of `fleetgraph.events`. A delivery is known by
 * (webhook, event), so that an event that comes again is not queued again.
 */
import type pg from 'pg';
import type { EventBus } from '../../../../backbone/bus/event-bus.js';
import { topics } from '../../../../backbone/bus/topics.js';
import { createConsumer } from '../../../../backbone/consumer/consumer.js';
import { sqlOf } from '../../../../platform/database/sql.js';
import type { Role } from '../../../../platform/lifecycle/role.js';
import type { Logger } from '../../../../platform/observability/logger.js';
import type { Registry } from '../../../../platform/observability/metrics.js';
import { queueEvents } from './delivery-rows.js';

export function createWebhookConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
  /** Attempts that a delivery has. */
  tries: number;
  /** Called after the commit when something was queued. */
  onQueued: () => void;
}): Role {
  const { bus, pool, log, metrics, tries, onQueued } = options;
  return createConsumer({
    name: 'actions-webhooks',
    topics: [topics.events],
    bus,
    pool,
    log,
    metrics,
    async handle(events) {
      const queued = await queueEvents(
        sqlOf(pool),
        events.map(({ event }) => event),
        tries,
      );
      if (queued > 0) onQueued();
    },
  });
}
