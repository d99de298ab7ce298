import type { OutgoingRecord } from '../../../backbone/bus/event-bus.js';
import { encode, makeEvent, type Event } from '../../../backbone/events/envelope.js';

export const topic = 'test.events';

/** A record of one device in a topic of one partition. */
export function named(name: string): OutgoingRecord {
  return encode(
    makeEvent({
      type: 'io.fleetgraph.device.registered.v1',
      source: '/test',
      subject: 'device',
      tenant: 'acme',
      data: { deviceId: 'device', name, typeId: 'generic', labels: {} },
    }),
  );
}

export function nameOf(event: Event): string {
  return event.type === 'io.fleetgraph.device.registered.v1' ? event.data.name : event.type;
}
