/** A command as the graph shows it, as a function of its events. Invariant: a final status is never left. */
import { isFinal, type CommandDocument, type CommandStatus } from '../../../backbone/changes/change.js';
import type { DomainEventType } from '../../../backbone/events/catalogue.js';
import type { Event } from '../../../backbone/events/envelope.js';

export type CommandEvent = Event<Extract<DomainEventType, `io.fleetgraph.command.${string}`>>;

export function isCommandEvent(event: Event): event is CommandEvent {
  return event.type.startsWith('io.fleetgraph.command.') && 'commandId' in event.data;
}

/** The document after the event; undefined if the event is about a command that was never requested. */
export function evolveCommand(document: CommandDocument | undefined, event: CommandEvent): CommandDocument | undefined {
  if (event.type === 'io.fleetgraph.command.requested.v1') {
    if (document !== undefined) return document;
    const { commandId, deviceId, name, parameters, expiresAt } = event.data;
    return {
      id: commandId,
      deviceId,
      name,
      parameters,
      status: 'QUEUED',
      createdAt: event.time,
      updatedAt: event.time,
      expiresAt,
      result: null,
      error: null,
      attempt: 1,
      progress: null,
      progressMessage: null,
    };
  }
  if (document === undefined || isFinal(document.status)) return document;
  const next: CommandDocument = { ...document, status: statusAfter(event, document.status), updatedAt: event.time };
  switch (event.type) {
    case 'io.fleetgraph.command.succeeded.v1':
      return { ...next, result: event.data.result, error: null };
    case 'io.fleetgraph.command.progressed.v1': {
      const { progress = document.progress ?? null, message = null } = event.data;
      return { ...next, progress, progressMessage: message };
    }
    case 'io.fleetgraph.command.attempt-failed.v1':
      return { ...next, error: event.data.error };
    case 'io.fleetgraph.command.retried.v1':
      return { ...next, attempt: event.data.attempt, progress: null, progressMessage: null };
    case 'io.fleetgraph.command.failed.v1':
    case 'io.fleetgraph.command.rejected.v1':
      return { ...next, error: event.data.error };
    default:
      return next;
  }
}

function statusAfter(
  event: Exclude<CommandEvent, Event<'io.fleetgraph.command.requested.v1'>>,
  before: CommandStatus,
): CommandStatus {
  switch (event.type) {
    case 'io.fleetgraph.command.sent.v1':
      // Sent again, it is no further back than it was.
      return before === 'QUEUED' ? 'SENT' : before;
    case 'io.fleetgraph.command.progressed.v1':
    case 'io.fleetgraph.command.attempt-failed.v1':
    case 'io.fleetgraph.command.retried.v1':
      return before;
    case 'io.fleetgraph.command.delivered.v1':
      return 'DELIVERED';
    case 'io.fleetgraph.command.succeeded.v1':
      return 'SUCCEEDED';
    case 'io.fleetgraph.command.failed.v1':
      return 'FAILED';
    case 'io.fleetgraph.command.rejected.v1':
      return 'REJECTED';
    case 'io.fleetgraph.command.expired.v1':
      return 'EXPIRED';
    case 'io.fleetgraph.command.canceled.v1':
      return 'CANCELED';
  }
}
