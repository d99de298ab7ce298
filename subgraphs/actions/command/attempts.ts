/** When a command is tried again, when its progress is told, and so when the clock must look at it. */
import { createHash } from 'node:crypto';
import type { Command } from './command.js';

/** Progress of one command is told at most this often. */
export const progressIntervalMs = 1_000;
const longestBackoffMs = 3_600_000;

/** When the attempt behind one that failed at `failedAtMs` begins; undefined if there is none: no more are wanted, or no time is left. */
export function nextAttemptMs(command: Command, failedAtMs: number): number | undefined {
  const { retry, attempt } = command;
  if (retry === null || attempt >= retry.maxAttempts) return undefined;
  const backoffMs = Math.min(longestBackoffMs, retry.backoffMs * 2 ** (attempt - 1));
  const atMs = failedAtMs + Math.round(backoffMs * (1 + spread(command) / 4));
  return atMs < command.expiresAt.getTime() ? atMs : undefined;
}

/**
 * From 0 to 1, another for each command and attempt, so that the commands of a job whose devices failed together are not all tried
 * again together. By the id and not by chance: whoever asks gets the same answer.
 */
function spread({ id, attempt }: Command): number {
  return createHash('sha1').update(`${id}/${attempt}`).digest().readUInt32BE() / 2 ** 32;
}

/** When the device must have given a word about what was sent, or said, at `at`; null if nobody waits for it. */
export function answerDeadline(command: Command, at: Date): Date | null {
  return command.retry === null ? null : new Date(at.getTime() + command.retry.answerTimeoutMs);
}

/** Whether a failure that was heard of at `atMs` is of an attempt before the present one: told twice, or late. */
export function isOfEarlierAttempt(command: Command, atMs: number, attempt: number | undefined): boolean {
  if (command.retry === null || command.attempt === 1) return false;
  if (attempt !== undefined) return attempt < command.attempt;
  return command.answerBy === null || atMs < command.answerBy.getTime() - command.retry.answerTimeoutMs;
}

/** Whether the present attempt has not been sent yet, as far as is known. */
export function isUnsent(command: Command): boolean {
  if (command.attempt === 1) return command.status === 'QUEUED';
  return command.answerBy === null && command.retryAt === null;
}

/** When something falls due by the clock alone: it expires, its attempt fails or begins, its progress is told. */
export function dueAt(command: Command): Date {
  const { expiresAt, answerBy, retryAt, pendingProgress, progressAt } = command;
  const times = [
    expiresAt,
    ...(retryAt === null ? [] : [retryAt]),
    ...(answerBy === null || nextAttemptMs(command, answerBy.getTime()) === undefined ? [] : [answerBy]),
    ...(pendingProgress === null || progressAt === null ? [] : [new Date(progressAt.getTime() + progressIntervalMs)]),
  ];
  return new Date(Math.min(...times.map((time) => time.getTime())));
}
