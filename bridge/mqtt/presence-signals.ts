/** Tells the bus who is connected. A connection has a session, which grows, so that late news can be told from new. */
import { topics } from '../../backbone/bus/topics.js';
import type { DeviceAddress } from '../../backbone/devices/device-topics.js';
import type { EventData } from '../../backbone/events/catalogue.js';
import { encode, makeEvent } from '../../backbone/events/envelope.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { DurablePublisher } from '../intake/durable-publisher.js';

export type PresenceReason = EventData<'io.fleetgraph.presence.changed.v1'>['reason'];

export interface PresenceState {
  readonly online: boolean;
  readonly session: number;
  readonly reason: PresenceReason;
}

export interface PresenceSignals {
  /** A number greater than any before, in this process and, by the clock, in those before it. */
  nextSession(): number;
  /** Resolves when it is on the bus. @throws FleetgraphError UNAVAILABLE when too much waits, or at a stop. */
  publish(device: DeviceAddress, state: PresenceState): Promise<void>;
  /** Publishes without keeping the caller waiting. */
  changed(device: DeviceAddress, state: PresenceState): void;
  /** Says in every partition that whoever was connected before is not any more. */
  reset(partitions: number): Promise<void>;
  /** Resolves when everything said so far is on the bus, or was given up. */
  settled(): Promise<void>;
}

export function createPresenceSignals(options: { publisher: DurablePublisher; log: Logger }): PresenceSignals {
  const { publisher, log } = options;
  let lastSession = 0;
  const pending = new Set<Promise<void>>();
  const nextSession = () => (lastSession = Math.max(lastSession + 1, Date.now()));
  const publish: PresenceSignals['publish'] = ({ tenant, deviceId }, { online, session, reason }) =>
    publisher.publish(topics.signals, [
      encode(
        makeEvent({
          source: '/bridge',
          type: 'io.fleetgraph.presence.changed.v1',
          subject: deviceId,
          tenant,
          data: { deviceId, online, session, at: Date.now(), reason },
        }),
      ),
    ]);
  return {
    nextSession,
    publish,
    changed(device, state) {
      const { tenant, deviceId } = device;
      const { online } = state;
      const publishing = publish(device, state)
        .catch((error: unknown) => log.warn({ tenant, deviceId, online, err: error }, 'presence was not published'))
        .finally(() => pending.delete(publishing));
      pending.add(publishing);
    },
    async reset(partitions) {
      const event = makeEvent({
        source: '/bridge',
        type: 'io.fleetgraph.presence.reset.v1',
        subject: 'broker',
        tenant: '*',
        data: { session: nextSession(), at: Date.now() },
      });
      const record = encode(event);
      await publisher.publish(
        topics.signals,
        Array.from({ length: partitions }, (_unused, partition) => ({ ...record, partition })),
      );
    },
    async settled() {
      await Promise.all(pending);
    },
  };
}
