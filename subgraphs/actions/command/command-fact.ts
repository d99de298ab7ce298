/** What can happen to a command, and which status it has after it. */
import type { DomainEventType, EventData } from '../../../backbone/events/catalogue.js';
import type { CommandStatus } from './command.js';

export type CommandEventType = Extract<DomainEventType, `io.fleetgraph.command.${string}`>;

/** What happened to a command: the part of its event that the life cycle is about. Every event of its stream is one. */
export type CommandFact = {
  [T in CommandEventType]: {
    readonly type: T;
    readonly tenant: string;
    /** RFC 3339, whole milliseconds. Never earlier than that of the fact before. */
    readonly time: string;
    readonly data: EventData<T>;
  };
}[CommandEventType];

/** The status that a fact brings; those that are not here leave it as it is. */
const statuses: Readonly<Partial<Record<CommandEventType, CommandStatus>>> = {
  'io.fleetgraph.command.requested.v1': 'QUEUED',
  'io.fleetgraph.command.sent.v1': 'SENT',
  'io.fleetgraph.command.delivered.v1': 'DELIVERED',
  'io.fleetgraph.command.succeeded.v1': 'SUCCEEDED',
  'io.fleetgraph.command.failed.v1': 'FAILED',
  'io.fleetgraph.command.rejected.v1': 'REJECTED',
  'io.fleetgraph.command.expired.v1': 'EXPIRED',
  'io.fleetgraph.command.canceled.v1': 'CANCELED',
};

/** The status that a command has after the fact. One that is sent again is no further back than it was. */
export function statusAfter(fact: Pick<CommandFact, 'type'>, before: CommandStatus): CommandStatus {
  const status = statuses[fact.type] ?? before;
  return status === 'SENT' && before !== 'QUEUED' ? before : status;
}

/** The status that the fact brought its command to; undefined if it left it as it was. */
export function statusBrought(fact: {
  readonly type: CommandEventType;
  readonly data: Readonly<Record<string, unknown>>;
}): CommandStatus | undefined {
  return fact.type === 'io.fleetgraph.command.sent.v1' && fact.data['attempt'] !== undefined
    ? undefined
    : statuses[fact.type];
}
