/** A command, as the write model keeps it and the graph shows it. */
import type { RetryPolicy } from '../../../backbone/events/catalogue.js';
import type { Json } from '../../../platform/database/storable.js';

export const finalStatuses = ['SUCCEEDED', 'FAILED', 'REJECTED', 'EXPIRED', 'CANCELED'] as const;
export const openStatuses = ['QUEUED', 'SENT', 'DELIVERED'] as const;

export type FinalStatus = (typeof finalStatuses)[number];
export type OpenStatus = (typeof openStatuses)[number];
export type CommandStatus = OpenStatus | FinalStatus;

export interface Command {
  readonly id: string;
  readonly tenant: string;
  readonly deviceId: string;
  readonly name: string;
  readonly parameters: Json;
  readonly status: CommandStatus;
  /** Revision of the stream `command-{id}`: how many events made the command what it is. */
  readonly revision: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly expiresAt: Date;
  readonly sentAt: Date | null;
  readonly deliveredAt: Date | null;
  /** When it got its final status. */
  readonly completedAt: Date | null;
  readonly result: Json;
  /** Why it failed; while it is tried again, what was wrong with the attempt before. */
  readonly error: string | null;
  /** The job that it is part of. */
  readonly jobId: string | null;
  readonly retry: RetryPolicy | null;
  /** Number of the present attempt, from 1. */
  readonly attempt: number;
  /** When the present attempt has failed unless the device has given a word by then; null if it was not sent, or has failed. */
  readonly answerBy: Date | null;
  /** When the next attempt begins; null if the present one has not failed. */
  readonly retryAt: Date | null;
  /** What the device last said of its progress, in percent. */
  readonly progress: number | null;
  readonly progressMessage: string | null;
  readonly progressAt: Date | null;
  /** What it said too soon after that. It is told when the time has come, unless there is later news. */
  readonly pendingProgress: ProgressReport | null;
}

export interface ProgressReport {
  readonly progress?: number | undefined;
  readonly message?: string | undefined;
}

/** Whether the status never changes again. */
export function isFinal(status: CommandStatus): status is FinalStatus {
  return finalStatuses.some((final) => final === status);
}

/** The command's stream in the event store. */
export function streamOf(commandId: string): string {
  return `command-${commandId}`;
}
