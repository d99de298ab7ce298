/** A device as the read side's registry knows it, as a function of its events. */
import type { DomainEventType } from '../../../backbone/events/catalogue.js';
import type { Event } from '../../../backbone/events/envelope.js';

export type DeviceEvent = Event<Extract<DomainEventType, `io.fleetgraph.device.${string}`>>;

export interface RegistryEntry {
  readonly tenant: string;
  readonly deviceId: string;
  readonly name: string;
  readonly typeId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly active: boolean;
  /** How many events of the stream `device-{id}` were applied, which is the revision of the last. */
  readonly revision: number;
}

export function isDeviceEvent(event: Event<DomainEventType>): event is DeviceEvent {
  return event.type.startsWith('io.fleetgraph.device.');
}

/** The entry after the event; undefined if the event is about a device that was never registered. */
export function evolveDevice(entry: RegistryEntry | undefined, event: DeviceEvent): RegistryEntry | undefined {
  const revision = (entry?.revision ?? 0) + 1;
  switch (event.type) {
    case 'io.fleetgraph.device.registered.v1':
    case 'io.fleetgraph.device.updated.v1': {
      const { deviceId, name, typeId, labels } = event.data;
      return { tenant: event.tenant, deviceId, name, typeId, labels, active: entry?.active ?? true, revision };
    }
    case 'io.fleetgraph.device.decommissioned.v1':
      return entry && { ...entry, active: false, revision };
    case 'io.fleetgraph.device.credentials-rotated.v1':
    case 'io.fleetgraph.device.desired-state-set.v1':
    case 'io.fleetgraph.device.reported-state-changed.v1':
      return entry && { ...entry, revision };
  }
}
