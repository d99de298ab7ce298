/** What devices say that they are (`…/state`): merged into the reported half of the twin. */
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { stateFault } from '../../../backbone/devices/device-state.js';
import { topics } from '../../../backbone/bus/topics.js';
import { createConsumer, type DeliveredEvent } from '../../../backbone/consumer/consumer.js';
import type { Event } from '../../../backbone/events/envelope.js';
import { append } from '../../../backbone/store/event-store.js';
import type { JsonObject } from '../../../platform/database/storable.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { inTransaction } from '../../../platform/database/sql.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { decide, eventOf, evolve, streamOf } from '../registry/device.js';
import { lockDevice, saveDevice } from '../registry/device-rows.js';

type Report = Event<'io.fleetgraph.device.state-reported.v1'>;

export function createReportConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
  wakeRelay: () => void;
}): Role {
  const apply = async (report: Report): Promise<void> => {
    const { tenant, data } = report;
    const reported = data.reported as JsonObject;
    const fault = stateFault(reported);
    if (fault !== undefined) throw new FleetgraphError('BAD_USER_INPUT', `The reported state ${fault}.`);
    const at = new Date(data.at);
    await inTransaction(options.pool, async (sql) => {
      const device = await lockDevice(sql, tenant, data.deviceId);
      if (!device) return;
      const facts = decide(device, { kind: 'report', reported, at });
      if (facts.length === 0) return;
      await saveDevice(
        sql,
        facts.reduce((state, fact) => evolve(state, fact, at), device),
      );
      const cause = { causationid: report.id, correlationid: report.correlationid, traceparent: report.traceparent };
      await append(sql, {
        tenant,
        stream: streamOf(device.id),
        expectedRevision: device.revision,
        events: facts.map((fact) => eventOf(device, fact, cause, at)),
      });
    });
    options.wakeRelay();
  };
  return createConsumer({
    ...options,
    name: 'device-reports',
    topics: [topics.signals],
    types: ['io.fleetgraph.device.state-reported.v1'],
    async handle(events: readonly DeliveredEvent[]) {
      for (const { event } of events) if (event.type === 'io.fleetgraph.device.state-reported.v1') await apply(event);
    },
  });
}
