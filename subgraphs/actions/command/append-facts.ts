/** From what was decided to what is stored: facts become events of the command's stream. */
import { makeEvent, type Event } from '../../../backbone/events/envelope.js';
import { appendAll } from '../../../backbone/store/event-store.js';
import type { Sql } from '../../../platform/database/sql.js';
import { streamOf, type Command } from './command.js';
import type { CommandEventType, CommandFact } from './command-fact.js';

/** Who or what brought a fact about. */
export interface Cause {
  readonly actor?: string | undefined;
  readonly clientaddress?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly correlationid?: string | undefined;
  readonly causationid?: string | undefined;
}

/** The fact as an event. Its subject is the device, so that all commands of a device stay in order on the bus. */
export function eventOf(fact: CommandFact, cause: Cause): Event<CommandEventType> {
  return makeEvent({ ...cause, ...fact, source: '/actions', subject: fact.data.deviceId });
}

/**
 * Appends the last events of a command, which brought it to its present revision.
 * @throws FleetgraphError CONFLICT when the stream is further than the command was.
 */
export async function appendEvents(
  transaction: Sql,
  command: Command,
  events: readonly Event<CommandEventType>[],
): Promise<void> {
  await appendEventsOfAll(transaction, [{ command, events }]);
}

/** The same for several commands, in one statement. */
export async function appendEventsOfAll(
  transaction: Sql,
  changes: readonly { readonly command: Command; readonly events: readonly Event<CommandEventType>[] }[],
): Promise<void> {
  const moved = changes.filter(({ events }) => events.length > 0);
  if (moved.length === 0) return;
  await appendAll(
    transaction,
    moved.map(({ command, events }) => ({
      tenant: command.tenant,
      stream: streamOf(command.id),
      expectedRevision: command.revision - events.length,
      events,
    })),
  );
}
