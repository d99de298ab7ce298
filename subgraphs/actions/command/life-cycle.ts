/**
 * The life of a command as two pure functions: `decide` says what happens (facts, which become events), `evolve` what the
 * command is after it. Everything that moves a command goes through them: the mutations, the signals of devices, the clock.
 *
 *   QUEUED -> SENT -> DELIVERED -> one of SUCCEEDED, FAILED, REJECTED, EXPIRED, CANCELED
 *
 * Invariant: steps may be skipped, none is taken back, and of the final ones exactly one is ever reached; whatever is heard
 * late, twice or out of order changes nothing. So an at-least-once, reordered stream of signals has exactly-once effect.
 *
 * A command with a retry policy is tried again when its device gives no word in time, or says that it failed but need not
 * have: attempts are counted, and the status stays where it is (attempts.ts).
 */
import type { EventData, RetryPolicy } from '../../../backbone/events/catalogue.js';
import type { Json } from '../../../platform/database/storable.js';
import { answerDeadline, isOfEarlierAttempt, isUnsent, nextAttemptMs, progressIntervalMs } from './attempts.js';
import { isFinal, type Command, type ProgressReport } from './command.js';
import { statusAfter, type CommandFact } from './command-fact.js';

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
      readonly retry?: RetryPolicy | undefined;
      readonly jobId?: string | undefined;
    }
  | { readonly kind: 'dispatched'; readonly atMs: number; readonly attempt?: number | undefined }
  | { readonly kind: 'received'; readonly atMs: number }
  | { readonly kind: 'progress'; readonly atMs: number; readonly report: ProgressReport }
  | { readonly kind: 'acknowledged'; readonly atMs: number; readonly answer: Answer }
  | { readonly kind: 'cancel'; readonly atMs: number }
  /** The clock. Does what is due at `atMs` (`dueAt` of attempts.ts), nothing else. */
  | { readonly kind: 'tick'; readonly atMs: number };

/** What a device answers. */
export type Answer =
  | { readonly status: 'SUCCEEDED'; readonly result: Json }
  | {
      readonly status: 'FAILED';
      readonly error: string;
      /** It may work the next time. */
      readonly retryable?: boolean | undefined;
      /** The attempt that is answered, if the device says so. */
      readonly attempt?: number | undefined;
    }
  | { readonly status: 'REJECTED'; readonly error: string };

type Common = {
  readonly tenant: string;
  readonly time: string;
  readonly data: { commandId: string; deviceId: string };
};

/** What follows from the input; nothing, if the command is past it. */
export function decide(command: Command | undefined, input: CommandInput): readonly CommandFact[] {
  if (input.kind === 'request') return command === undefined ? [requested(input)] : [];
  if (command === undefined || isFinal(command.status)) return [];
  const data = { commandId: command.id, deviceId: command.deviceId };
  // Clocks differ between machines; the times of one command do not run backwards for that.
  const time = new Date(Math.max(input.atMs, command.updatedAt.getTime())).toISOString();
  const common: Common = { tenant: command.tenant, time, data };
  switch (input.kind) {
    case 'dispatched': {
      const attempt = input.attempt ?? 1;
      if (attempt !== command.attempt || !isUnsent(command)) return [];
      return [{ ...common, type: 'io.fleetgraph.command.sent.v1', data: attempt === 1 ? data : { ...data, attempt } }];
    }
    case 'received':
      return command.status === 'DELIVERED' ? [] : [{ ...common, type: 'io.fleetgraph.command.delivered.v1' }];
    case 'progress':
      return progressed(command, input, common);
    case 'acknowledged':
      return answered(command, input, common);
    case 'cancel':
      return [{ ...common, type: 'io.fleetgraph.command.canceled.v1' }];
    case 'tick':
      return ticked(command, input.atMs, common);
  }
}

/** Who works on it has it. What comes too soon after the last is held back (`hold`), but for the end of the work. */
function progressed(
  command: Command,
  { atMs, report }: Extract<CommandInput, { kind: 'progress' }>,
  common: Common,
): readonly CommandFact[] {
  const { progressAt } = command;
  if (progressAt !== null && atMs < progressAt.getTime() + progressIntervalMs && report.progress !== 100) return [];
  return [
    ...(command.status === 'DELIVERED' ? [] : [{ ...common, type: 'io.fleetgraph.command.delivered.v1' as const }]),
    told(report, common),
  ];
}

/** The command with what its device said of its progress held back, where `decide` made nothing of it. */
export function hold(command: Command, input: CommandInput): Command {
  if (input.kind !== 'progress' || isFinal(command.status)) return command;
  return { ...command, pendingProgress: { ...command.pendingProgress, ...input.report } };
}

function told({ progress, message }: ProgressReport, common: Common): CommandFact {
  return {
    ...common,
    type: 'io.fleetgraph.command.progressed.v1',
    data: {
      ...common.data,
      ...(progress === undefined ? {} : { progress }),
      ...(message === undefined ? {} : { message }),
    },
  };
}

function answered(
  command: Command,
  { atMs, answer }: Extract<CommandInput, { kind: 'acknowledged' }>,
  common: Common,
): readonly CommandFact[] {
  const { data } = common;
  switch (answer.status) {
    case 'SUCCEEDED':
      return [
        { ...common, type: 'io.fleetgraph.command.succeeded.v1', data: { ...data, result: mutable(answer.result) } },
      ];
    case 'REJECTED':
      return [{ ...common, type: 'io.fleetgraph.command.rejected.v1', data: { ...data, error: answer.error } }];
    case 'FAILED': {
      const { error } = answer;
      if (answer.retryable === true && command.retry !== null) {
        // Told already, or of an attempt before this one.
        if (command.retryAt !== null || isOfEarlierAttempt(command, atMs, answer.attempt)) return [];
        const retryAtMs = nextAttemptMs(command, Date.parse(common.time));
        if (retryAtMs !== undefined) return [attemptFailed(command, error, retryAtMs, common)];
      }
      return [{ ...common, type: 'io.fleetgraph.command.failed.v1', data: { ...data, error } }];
    }
  }
}

function ticked(command: Command, atMs: number, common: Common): readonly CommandFact[] {
  if (atMs >= command.expiresAt.getTime()) return [{ ...common, type: 'io.fleetgraph.command.expired.v1' }];
  const facts: CommandFact[] = [];
  const { pendingProgress, progressAt, retryAt, answerBy, retry } = command;
  if (pendingProgress !== null && progressAt !== null && atMs >= progressAt.getTime() + progressIntervalMs)
    facts.push(told(pendingProgress, common));
  else if (retryAt !== null && atMs >= retryAt.getTime()) {
    const { name, parameters, expiresAt, attempt } = command;
    facts.push({
      ...common,
      type: 'io.fleetgraph.command.retried.v1',
      data: {
        ...common.data,
        name,
        parameters: mutable(parameters),
        expiresAt: expiresAt.toISOString(),
        attempt: attempt + 1,
      },
    });
  } else if (retry !== null && answerBy !== null && atMs >= answerBy.getTime()) {
    // From when it failed, not from when the clock came to look: `dueAt` knows no other.
    const retryAtMs = nextAttemptMs(command, answerBy.getTime());
    if (retryAtMs !== undefined)
      facts.push(attemptFailed(command, `no answer within ${retry.answerTimeoutMs / 1_000} s`, retryAtMs, common));
  }
  return facts;
}

function attemptFailed({ attempt }: Command, error: string, retryAtMs: number, common: Common): CommandFact {
  const retryAt = new Date(retryAtMs).toISOString();
  return {
    ...common,
    type: 'io.fleetgraph.command.attempt-failed.v1',
    data: { ...common.data, attempt, error, retryAt },
  };
}

/**
 * The command after the fact.
 * @throws Error when the first fact is not the request, or a later one is: such a stream was not made by `decide`.
 */
export function evolve(command: Command | undefined, fact: CommandFact): Command {
  const at = new Date(fact.time);
  if (fact.type === 'io.fleetgraph.command.requested.v1') {
    if (command !== undefined) throw new Error(`The command ${command.id} was requested twice.`);
    const { commandId, deviceId, name, parameters, expiresAt, retry, jobId } = fact.data;
    return {
      id: commandId,
      tenant: fact.tenant,
      deviceId,
      name,
      parameters,
      status: 'QUEUED',
      revision: 1,
      createdAt: at,
      updatedAt: at,
      expiresAt: new Date(expiresAt),
      sentAt: null,
      deliveredAt: null,
      completedAt: null,
      result: null,
      error: null,
      jobId: jobId ?? null,
      retry: retry ?? null,
      attempt: 1,
      answerBy: null,
      retryAt: null,
      progress: null,
      progressMessage: null,
      progressAt: null,
      pendingProgress: null,
    };
  }
  if (command === undefined) throw new Error(`The command ${fact.data.commandId} was never requested.`);
  const status = statusAfter(fact, command.status);
  const moved = { ...command, status, revision: command.revision + 1, updatedAt: at };
  const completed = { ...moved, completedAt: at, answerBy: null, retryAt: null, pendingProgress: null };
  switch (fact.type) {
    case 'io.fleetgraph.command.sent.v1':
      return { ...moved, sentAt: command.sentAt ?? at, answerBy: answerDeadline(command, at) };
    case 'io.fleetgraph.command.delivered.v1':
      return { ...moved, deliveredAt: at, answerBy: isUnsentRetry(command) ? null : answerDeadline(command, at) };
    case 'io.fleetgraph.command.progressed.v1':
      return {
        ...moved,
        progress: fact.data.progress ?? command.progress,
        progressMessage: fact.data.message ?? null,
        // A word of the device: whatever was thought of the attempt, it is at work.
        progressAt: at,
        pendingProgress: null,
        answerBy: answerDeadline(command, at),
        retryAt: null,
      };
    case 'io.fleetgraph.command.attempt-failed.v1':
      return {
        ...moved,
        error: fact.data.error,
        answerBy: null,
        retryAt: new Date(fact.data.retryAt),
        pendingProgress: null,
      };
    case 'io.fleetgraph.command.retried.v1':
      return {
        ...moved,
        attempt: fact.data.attempt,
        answerBy: null,
        retryAt: null,
        progress: null,
        progressMessage: null,
        pendingProgress: null,
      };
    case 'io.fleetgraph.command.succeeded.v1':
      return { ...completed, result: fact.data.result, error: null };
    case 'io.fleetgraph.command.failed.v1':
    case 'io.fleetgraph.command.rejected.v1':
      return { ...completed, error: fact.data.error };
    case 'io.fleetgraph.command.expired.v1':
    case 'io.fleetgraph.command.canceled.v1':
      return completed;
  }
}

/** A confirmation that is heard while it waits, or before the next attempt was sent, is of the one before. */
function isUnsentRetry(command: Command): boolean {
  return command.retryAt !== null || (command.attempt > 1 && isUnsent(command));
}

function requested(input: Extract<CommandInput, { kind: 'request' }>): CommandFact {
  const { tenant, commandId, deviceId, name, parameters, retry, jobId } = input;
  return {
    type: 'io.fleetgraph.command.requested.v1',
    tenant,
    time: new Date(input.atMs).toISOString(),
    data: {
      commandId,
      deviceId,
      name,
      parameters: mutable(parameters),
      expiresAt: new Date(input.atMs + input.timeToLiveMs).toISOString(),
      ...(retry === undefined ? {} : { retry }),
      ...(jobId === undefined ? {} : { jobId }),
    },
  };
}

type CatalogueJson = EventData<'io.fleetgraph.command.succeeded.v1'>['result'];

/** The same JSON under the catalogue's type of it, which is not readonly; nobody writes to it. */
function mutable(json: Json): CatalogueJson {
  return json as CatalogueJson;
}
