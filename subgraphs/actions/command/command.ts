/** A command, as the write model keeps it and the graph shows it. */
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
  readonly error: string | null;
}

/** Whether the status never changes again. */
export function isFinal(status: CommandStatus): status is FinalStatus {
  return finalStatuses.some((final) => final === status);
}

/** The command's stream in the event store. */
export function streamOf(commandId: string): string {
  return `command-${commandId}`;
}
