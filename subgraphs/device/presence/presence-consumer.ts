/** Presence as the registry hears it, for the filter `online` of the list of devices. */
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { topics } from '../../../backbone/bus/topics.js';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import { sqlOf } from '../../../platform/database/sql.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { latestPresence, type PresenceMessage } from './latest-presence.js';

export function createPresenceConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
}): Role {
  const sql = sqlOf(options.pool);
  return createConsumer({
    ...options,
    name: 'device-presence',
    topics: [topics.signals],
    types: ['io.fleetgraph.presence.changed.v1', 'io.fleetgraph.presence.reset.v1'],
    async handle(events) {
      let pending: PresenceMessage[] = [];
      const flush = async (): Promise<void> => {
        const latest = latestPresence(pending);
        pending = [];
        if (latest.length === 0) return;
        // Online only by a newer connection; offline by the same or a newer one: a late message flips nothing back.
        await sql.query(
          `UPDATE device.devices d SET online = m.online, presence_session = m.session
           FROM jsonb_to_recordset($1::jsonb) AS m("deviceId" text, tenant text, online boolean, session bigint)
           WHERE d.id = m."deviceId" AND d.tenant = m.tenant
             AND (m.session > d.presence_session OR (m.session = d.presence_session AND d.online AND NOT m.online))`,
          [JSON.stringify(latest)],
        );
      };
      for (const { event } of events) {
        if (event.type === 'io.fleetgraph.presence.changed.v1') {
          pending.push({
            deviceId: event.data.deviceId,
            tenant: event.tenant,
            online: event.data.online,
            session: Math.floor(event.data.session),
          });
        } else if (event.type === 'io.fleetgraph.presence.reset.v1') {
          await flush();
          // The session is raised, or news of a connection from before the reset that comes late would count as newer.
          await sql.query(
            `UPDATE device.devices SET online = false, presence_session = $1::bigint - 1
             WHERE online AND presence_session < $1::bigint`,
            [Math.floor(event.data.session)],
          );
        }
      }
      await flush();
    },
  });
}
