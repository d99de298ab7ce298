/**
 * The life of a command as two pure functions: `decide` says what happens (facts, which become events), `evolve` what the
 * command is after it. Everything that moves a command goes through them: the mutations, the signals of devices, the clock.
 *
 *   QUEUED -> SENT -> DELIVERED -> one of SUCCEEDED, FAILED, REJECTED, EXPIRED, CANCELED
 *
 * Invariant: steps may be skipped, none is taken back, and of the final ones exactly one is ever reached; whatever is heard
 * late, twice or out of order changes nothing. So an at-least-once, reordered stream of signals has exactly-once effect.
 */
import type { DomainEventType, EventData } from '../../../backbone/events/catalogue.js';
import type { Json } from '../../../platform/database/storable.js';
import { isFinal, type Command, type CommandStatus } from './command.js';

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

/** What somebody says or wants. `atMs` is when, in whole epoch milliseconds. */
export type CommandInput =
  | {
      readonly kind: 'request';
      readonly atMs: number;
      readonly tenant: string;
      readonly commandId: string;
      readonly deviceId: string;
      readonly name: string;
      readonly parameters: Json;
      readonly timeToLiveMs: number;
    }
  | { readonly kind: 'dispatched'; readonly atMs: number }
  | { readonly kind: 'received'; readonly atMs: number }
  | { readonly kind: 'acknowledged'; readonly atMs: number; readonly answer: Answer }
  | { readonly kind: 'cancel'; readonly atMs: number }
  /** The clock. Expires a command that is due at `atMs`, no other. */
  | { readonly kind: 'tick'; readonly atMs: number };

/** What a device answers. */
export type Answer =
  | { readonly status: 'SUCCEEDED'; readonly result: Json }
  | { readonly status: 'FAILED' | 'REJECTED'; readonly error: string };

/** What follows from the input; nothing, if the command is past it. */
export function decide(command: Command | undefined, input: CommandInput): readonly CommandFact[] {
  if (input.kind === 'request') return command === undefined ? [requested(input)] : [];
  if (command === undefined || isFinal(command.status)) return [];
  const { tenant } = command;
  const data = { commandId: command.id, deviceId: command.deviceId };
  // Clocks differ between machines; the times of one command do not run backwards for that.
  const time = new Date(Math.max(input.atMs, command.updatedAt.getTime())).toISOString();
  switch (input.kind) {
    case 'dispatched':
      return command.status === 'QUEUED' ? [{ type: 'io.fleetgraph.command.sent.v1', tenant, time, data }] : [];
    case 'received':
      return command.status === 'DELIVERED' ? [] : [{ type: 'io.fleetgraph.command.delivered.v1', tenant, time, data }];
    case 'acknowledged':
      return [answered(input.answer, { tenant, time, data })];
    case 'cancel':
      return [{ type: 'io.fleetgraph.command.canceled.v1', tenant, time, data }];
    case 'tick':
      return input.atMs < command.expiresAt.getTime()
        ? []
        : [{ type: 'io.fleetgraph.command.expired.v1', tenant, time, data }];
  }
}

/**
 * The command after the fact.
 * @throws Error when the first fact is not the request, or a later one is: such a stream was not made by `decide`.
 */
export function evolve(command: Command | undefined, fact: CommandFact): Command {
  const at = new Date(fact.time);
  if (fact.type === 'io.fleetgraph.command.requested.v1') {
    if (command !== undefined) throw new Error(`The command ${command.id} was requested twice.`);
    const { commandId, deviceId, name, parameters, expiresAt } = fact.data;
    return {
      ...{ id: commandId, tenant: fact.tenant, deviceId, name, parameters, status: 'QUEUED', revision: 1 },
      ...{ createdAt: at, updatedAt: at, expiresAt: new Date(expiresAt), sentAt: null, deliveredAt: null },
      ...{ completedAt: null, result: null, error: null },
    };
  }
  if (command === undefined) throw new Error(`The command ${fact.data.commandId} was never requested.`);
  const moved = { ...command, status: statusAfter(fact), revision: command.revision + 1, updatedAt: at };
  switch (fact.type) {
    case 'io.fleetgraph.command.sent.v1':
      return { ...moved, sentAt: at };
    case 'io.fleetgraph.command.delivered.v1':
      return { ...moved, deliveredAt: at };
    case 'io.fleetgraph.command.succeeded.v1':
      return { ...moved, completedAt: at, result: fact.data.result };
    case 'io.fleetgraph.command.failed.v1':
    case 'io.fleetgraph.command.rejected.v1':
      return { ...moved, completedAt: at, error: fact.data.error };
    case 'io.fleetgraph.command.expired.v1':
    case 'io.fleetgraph.command.canceled.v1':
      return { ...moved, completedAt: at };
  }
}

const statuses: Readonly<Record<CommandEventType, CommandStatus>> = {
  'io.fleetgraph.command.requested.v1': 'QUEUED',
  'io.fleetgraph.command.sent.v1': 'SENT',
  'io.fleetgraph.command.delivered.v1': 'DELIVERED',
  'io.fleetgraph.command.succeeded.v1': 'SUCCEEDED',
  'io.fleetgraph.command.failed.v1': 'FAILED',
  'io.fleetgraph.command.rejected.v1': 'REJECTED',
  'io.fleetgraph.command.expired.v1': 'EXPIRED',
  'io.fleetgraph.command.canceled.v1': 'CANCELED',
};

/** The status that a command has after the fact. */
export function statusAfter(fact: Pick<CommandFact, 'type'>): CommandStatus {
  return statuses[fact.type];
}

function requested(input: Extract<CommandInput, { kind: 'request' }>): CommandFact {
  const { tenant, commandId, deviceId, name, parameters } = input;
  return {
    type: 'io.fleetgraph.command.requested.v1',
    tenant,
    time: new Date(input.atMs).toISOString(),
    data: {
      ...{ commandId, deviceId, name, parameters: mutable(parameters) },
      expiresAt: new Date(input.atMs + input.timeToLiveMs).toISOString(),
    },
  };
}

function answered(
  answer: Answer,
  fact: { tenant: string; time: string; data: { commandId: string; deviceId: string } },
): CommandFact {
  switch (answer.status) {
    case 'SUCCEEDED':
      return {
        ...fact,
        type: 'io.fleetgraph.command.succeeded.v1',
        data: { ...fact.data, result: mutable(answer.result) },
      };
    case 'FAILED':
      return { ...fact, type: 'io.fleetgraph.command.failed.v1', data: { ...fact.data, error: answer.error } };
    case 'REJECTED':
      return { ...fact, type: 'io.fleetgraph.command.rejected.v1', data: { ...fact.data, error: answer.error } };
  }
}

type CatalogueJson = EventData<'io.fleetgraph.command.succeeded.v1'>['result'];

/** The same JSON under the catalogue's type of it, which is not readonly; nobody writes to it. */
function mutable(json: Json): CatalogueJson {
  return json as CatalogueJson;
}
