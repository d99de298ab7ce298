/** An alert as the read side has it, as a function of its events. */
import type { AlertDocument } from '../../../backbone/changes/change.js';
import type { DomainEventType } from '../../../backbone/events/catalogue.js';
import type { Event } from '../../../backbone/events/envelope.js';

export type AlertEvent = Event<Extract<DomainEventType, `io.fleetgraph.alert.${string}`>>;

export function isAlertEvent(event: Event): event is AlertEvent {
  return event.type.startsWith('io.fleetgraph.alert.') && 'alertId' in event.data;
}

/** The document after the event; undefined if the event is about an alert that was never raised. */
export function evolveAlert(document: AlertDocument | undefined, event: AlertEvent): AlertDocument | undefined {
  if (event.type === 'io.fleetgraph.alert.raised.v1') {
    if (document !== undefined) return document;
    const { alertId: id, deviceId, ruleId, ruleName, severity, count, at } = event.data;
    return {
      id,
      deviceId,
      ruleId,
      ruleName,
      severity,
      count,
      status: 'ACTIVE',
      acknowledged: false,
      firstAt: at,
      lastAt: at,
      clearedAt: null,
    };
  }
  if (document === undefined) return undefined;
  switch (event.type) {
    case 'io.fleetgraph.alert.repeated.v1':
      return { ...document, count: event.data.count, lastAt: event.data.at };
    case 'io.fleetgraph.alert.cleared.v1':
      return { ...document, status: 'CLEARED', clearedAt: event.data.at };
    case 'io.fleetgraph.alert.acknowledged.v1':
      return { ...document, acknowledged: true };
    case 'io.fleetgraph.alert.held.v1':
    case 'io.fleetgraph.alert.commented.v1':
      // What they change, the actions subgraph shows; that there is something new, the change tells.
      return { ...document };
    default:
      // What is said about an alert without changing it.
      return document;
  }
}
