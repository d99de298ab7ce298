/** Keeps `actions.command_targets` by the events of devices: a consumer of `fleetgraph.events`. */
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { topics } from '../../../backbone/bus/topics.js';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import { inTransaction } from '../../../platform/database/sql.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { addTargets, closeTargets, type TargetKey } from './target-rows.js';
import type { TargetWatch } from './target-watch.js';

export function createTargetConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
  watch: Pick<TargetWatch, 'announce'>;
}): Role {
  const { bus, pool, log, metrics, watch } = options;
  return createConsumer({
    name: 'actions-targets',
    topics: [topics.events],
    ...{ bus, pool, log, metrics },
    // An update proves that the device exists, for those registered longer ago than the bus keeps its records.
    types: [
      'io.fleetgraph.device.registered.v1',
      'io.fleetgraph.device.updated.v1',
      'io.fleetgraph.device.decommissioned.v1',
    ],
    async handle(events) {
      const exist: TargetKey[] = [];
      const gone: TargetKey[] = [];
      for (const { event } of events) {
        const key = { tenant: event.tenant, deviceId: event.subject };
        (event.type === 'io.fleetgraph.device.decommissioned.v1' ? gone : exist).push(key);
      }
      await inTransaction(pool, async (sql) => {
        if (exist.length > 0) await addTargets(sql, exist);
        if (gone.length > 0) await closeTargets(sql, gone);
      });
      watch.announce([...exist, ...gone]);
    },
  });
}
