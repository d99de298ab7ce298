/** Word of connections for the rules: a consumer of `fleetgraph.signals`. */
import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import { topics } from '../../backbone/bus/topics.js';
import { createConsumer } from '../../backbone/consumer/consumer.js';
import type { Event } from '../../backbone/events/envelope.js';
import type { Role } from '../../platform/lifecycle/role.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';
import type { DeviceWatch, Told } from './watch/device-watch.js';
import { onlineBefore } from './watch/watch-rows.js';

/** Most devices that one transaction of a reset takes offline. */
const resetChunk = 500;

export function createPresenceConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
  watch: DeviceWatch;
}): Role {
  const { watch, ...shared } = options;

  /** The broker (re)started: whoever was online in a session before is offline. Done again, it changes nothing. */
  const reset = async ({ data }: Event<'io.fleetgraph.presence.reset.v1'>): Promise<void> => {
    // One less than the reset: a connect in the very millisecond of the start counts as after it.
    const word = { online: false, session: Math.floor(data.session) - 1, at: data.at };
    for (let behind = ''; ;) {
      const devices = await onlineBefore(watch.sql, Math.floor(data.session), behind, resetChunk);
      const last = devices.at(-1);
      if (last === undefined) return;
      await watch.tell(devices.map((device) => ({ ...device, tell: (watching) => watching.connect(word) })));
      behind = last.deviceId;
    }
  };

  return createConsumer({
    ...shared,
    name: 'orchestrator-presence',
    topics: [topics.signals],
    types: ['io.fleetgraph.presence.changed.v1', 'io.fleetgraph.presence.reset.v1'],
    async handle(delivered) {
      let told: Told[] = [];
      const flush = async (): Promise<void> => {
        if (told.length > 0) await watch.tell(told);
        told = [];
      };
      for (const { event } of delivered) {
        if (event.type === 'io.fleetgraph.presence.changed.v1') {
          const { deviceId, online, session, at } = event.data;
          const word = { online, session: Math.floor(session), at };
          const { tenant, traceparent } = event;
          told.push({ tenant, deviceId, traceparent, tell: (watching) => watching.connect(word) });
        } else if (event.type === 'io.fleetgraph.presence.reset.v1') {
          // A reset changes many devices: what came before it in the partition must be there when it does.
          await flush();
          await reset(event);
        }
      }
      await flush();
    },
  });
}
