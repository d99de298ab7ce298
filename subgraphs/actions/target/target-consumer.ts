/** Keeps what is known of targets by the events of devices and their types: a consumer of `fleetgraph.events`. */
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { topics } from '../../../backbone/bus/topics.js';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import { inTransaction, sqlOf } from '../../../platform/database/sql.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import {
  addTargets,
  closeTargets,
  defineTargetTypes,
  findKnownTargets,
  type DescribedTarget,
  type TargetKey,
  type TargetType,
} from './target-rows.js';
import type { TargetWatch } from './target-watch.js';

export function createTargetConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
  watch: Pick<TargetWatch, 'announce' | 'hasWaiting'>;
}): Role {
  const { bus, pool, log, metrics, watch } = options;
  return createConsumer({
    name: 'actions-targets',
    topics: [topics.events],
    bus,
    pool,
    log,
    metrics,
    // An update proves that the device exists, for those registered longer ago than the bus keeps its records.
    types: [
      'io.fleetgraph.device.registered.v1',
      'io.fleetgraph.device.updated.v1',
      'io.fleetgraph.device.decommissioned.v1',
      'io.fleetgraph.device-type.defined.v1',
    ],
    async handle(events) {
      const exist: DescribedTarget[] = [];
      const gone: TargetKey[] = [];
      const types: TargetType[] = [];
      for (const { event } of events) {
        const { tenant, time: at } = event;
        switch (event.type) {
          case 'io.fleetgraph.device-type.defined.v1':
            types.push({
              tenant,
              at,
              typeId: event.data.typeId,
              commands: event.data.commands ?? [],
            });
            break;
          case 'io.fleetgraph.device.decommissioned.v1':
            gone.push({ tenant, deviceId: event.subject });
            break;
          case 'io.fleetgraph.device.registered.v1':
          case 'io.fleetgraph.device.updated.v1': {
            const { typeId, labels } = event.data;
            exist.push({ tenant, deviceId: event.subject, typeId, labels, at });
            break;
          }
        }
      }
      await inTransaction(pool, async (sql) => {
        if (types.length > 0) await defineTargetTypes(sql, types);
        if (exist.length > 0) await addTargets(sql, exist);
        if (gone.length > 0) await closeTargets(sql, gone);
      });
      // Of a device whose type is still on its way here, the poll of the watch tells.
      if (watch.hasWaiting()) watch.announce(await findKnownTargets(sqlOf(pool), [...exist, ...gone]));
    },
  });
}
