/**
 * What devices (through the bridge) say about commands, applied to the write model: a batch in one transaction.
 * Invariant: only the device that a command is for moves it. The tenant and device of a signal come from the device's own
 * connection; a signal whose command belongs to somebody else is counted and dropped.
 */
import type { Event } from '../../../backbone/events/envelope.js';
import type { Sql } from '../../../platform/database/sql.js';
import { appendEvents, eventOf } from './append-facts.js';
import type { Command } from './command.js';
import { isPossibleId } from './command-input.js';
import { lockCommands, saveCommands } from './command-rows.js';
import type { CommandEventType } from './command-fact.js';
import { decide, evolve, hold, type CommandInput } from './life-cycle.js';
import { storableJson, storableText } from '../../../platform/database/storable.js';

export const signalTypes = [
  'io.fleetgraph.command.dispatched.v1',
  'io.fleetgraph.command.received.v1',
  'io.fleetgraph.command.acknowledged.v1',
  'io.fleetgraph.command.progress-reported.v1',
] as const;

/** A signal about a command. */
export type CommandSignal = Event<(typeof signalTypes)[number]>;

export interface Moved {
  readonly command: Command;
  readonly events: readonly Event<CommandEventType>[];
}

export interface Applied {
  readonly moved: readonly Moved[];
  /** Signals about a command of another device, another tenant, or nobody. */
  readonly foreign: readonly CommandSignal[];
}

/** A device's reason for a failure may be this long; the rest is cut off. */
const maxErrorLength = 4_096;

/** Applies the signals in their order. The transaction must be the caller's, and commit, before anything of it is told. */
export async function applySignals(
  transaction: Sql,
  signals: readonly CommandSignal[],
  nowMs: number,
): Promise<Applied> {
  // The id in an answer is the device's own text: what can't be an id must not reach the database.
  const keys = signals
    .filter(({ data }) => isPossibleId(data.commandId))
    .map(({ tenant, data }) => ({ id: data.commandId, tenant, deviceId: data.deviceId }));
  const commands = new Map((await lockCommands(transaction, keys)).map((command) => [command.id, command]));
  const moved = new Map<string, { command: Command; events: Event<CommandEventType>[] }>();
  const foreign: CommandSignal[] = [];
  for (const signal of signals) {
    const command = commands.get(signal.data.commandId);
    if (command?.tenant !== signal.tenant || command.deviceId !== signal.data.deviceId) {
      foreign.push(signal);
      continue;
    }
    const input = inputOf(signal, nowMs);
    const facts = decide(command, input);
    const change = moved.get(command.id) ?? { command, events: [] };
    if (facts.length === 0) {
      const held = hold(command, input);
      if (held === command) continue;
      change.command = held;
    }
    for (const fact of facts) {
      change.command = evolve(change.command, fact);
      change.events.push(
        eventOf(fact, {
          traceparent: signal.traceparent,
          correlationid: signal.correlationid,
          causationid: signal.id,
        }),
      );
    }
    moved.set(command.id, change);
    commands.set(command.id, change.command);
  }
  const changes = [...moved.values()];
  await saveCommands(
    transaction,
    changes.map(({ command }) => command),
  );
  for (const { command, events } of changes) await appendEvents(transaction, command, events);
  return { moved: changes, foreign };
}

/** What the signal says, with a time that is not ahead of ours and free of what can't be stored. */
function inputOf(signal: CommandSignal, nowMs: number): CommandInput {
  const atMs = Math.floor(Math.min(signal.data.at, nowMs));
  switch (signal.type) {
    case 'io.fleetgraph.command.dispatched.v1':
      return { kind: 'dispatched', atMs, attempt: signal.data.attempt };
    case 'io.fleetgraph.command.received.v1':
      return { kind: 'received', atMs };
    case 'io.fleetgraph.command.acknowledged.v1': {
      const { status, result, error, retryable, attempt } = signal.data;
      const reason = storableText(error ?? 'The device gave no reason.', maxErrorLength);
      if (status === 'SUCCEEDED')
        return { kind: 'acknowledged', atMs, answer: { status, result: storableJson(result ?? null) } };
      return {
        kind: 'acknowledged',
        atMs,
        answer: status === 'FAILED' ? { status, error: reason, retryable, attempt } : { status, error: reason },
      };
    }
    case 'io.fleetgraph.command.progress-reported.v1': {
      const { progress, message } = signal.data;
      const text = message === undefined ? undefined : storableText(message, maxErrorLength);
      return { kind: 'progress', atMs, report: { progress, message: text } };
    }
  }
}
