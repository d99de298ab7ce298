/**
 * What rules and devices there are, heard from their events: a consumer of `fleetgraph.events`.
 * Each change is two transactions. The first makes it known; from its commit on nothing is said that goes against it. The second
 * ends what had been said before. Both may be done again: a crash between them is made up for when the event comes again.
 */
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { topics } from '../../../backbone/bus/topics.js';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import type { Event } from '../../../backbone/events/envelope.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import type { DeviceWatch, EndCause } from '../watch/device-watch.js';
import { devicesWithState } from '../watch/watch-rows.js';
import { knowDevices, knowRule, waitingDevices, type DeviceEvent, type KnownRule } from './definition-rows.js';

const chunk = 500;

export function createDefinitionConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
  watch: DeviceWatch;
}): Role {
  const { watch, ...shared } = options;

  const changeRule = async (rule: KnownRule): Promise<void> => {
    await knowRule(options.pool, rule);
    const cause: EndCause = rule.definition === null ? 'RULE_DELETED' : 'RULE_CHANGED';
    const settleAll = async (next: (behind: string) => ReturnType<typeof devicesWithState>): Promise<void> => {
      for (let behind = ''; ;) {
        const devices = await next(behind);
        const last = devices.at(-1);
        if (last === undefined) return;
        await watch.settle(devices, cause);
        behind = last.deviceId;
      }
    };
    await settleAll((behind) => devicesWithState(watch.sql, rule, behind, chunk));
    // A rule that waits for time to pass must look at its devices once, for silence makes itself heard by nothing.
    await settleAll((behind) => waitingDevices(watch.sql, rule, behind, chunk));
  };

  return createConsumer({
    ...shared,
    name: 'orchestrator-definitions',
    topics: [topics.events],
    types: [
      'io.fleetgraph.rule.created.v1',
      'io.fleetgraph.rule.updated.v1',
      'io.fleetgraph.rule.deleted.v1',
      'io.fleetgraph.device.registered.v1',
      'io.fleetgraph.device.updated.v1',
      'io.fleetgraph.device.decommissioned.v1',
    ],
    async handle(delivered) {
      const events = delivered.map(({ event }) => event);
      const devices = events.filter(isDeviceEvent);
      if (devices.length > 0) {
        await knowDevices(options.pool, devices);
        await watch.settle(
          devices.map(({ tenant, data }) => ({ tenant, deviceId: data.deviceId })),
          'DEVICE_GONE',
        );
      }
      for (const event of events) {
        const rule = ruleOf(event);
        if (rule !== undefined) await changeRule(rule);
      }
    },
  });
}

function isDeviceEvent(event: Event): event is DeviceEvent {
  return event.type.startsWith('io.fleetgraph.device.');
}

function ruleOf(event: Event): KnownRule | undefined {
  const { tenant } = event;
  switch (event.type) {
    case 'io.fleetgraph.rule.created.v1':
    case 'io.fleetgraph.rule.updated.v1':
      return { tenant, id: event.data.ruleId, version: event.data.version, definition: event.data };
    case 'io.fleetgraph.rule.deleted.v1':
      return { tenant, id: event.data.ruleId, version: event.data.version, definition: null };
    default:
      return undefined;
  }
}
