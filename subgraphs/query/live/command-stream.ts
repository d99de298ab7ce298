/** The subscription `command`: a command to its end. */
import { isFinal, type CommandDocument } from '../../../backbone/changes/change.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import { createBoundedChanges } from './pending-changes.js';
import { createStream, type LiveOptions, type Stream } from './stream.js';

/** Payload of `command`. */
export interface CommandUpdate {
  readonly snapshot: boolean;
  readonly status: string;
  readonly progress: number | null;
  readonly progressMessage: string | null;
  readonly attempt: number;
  readonly command: { readonly id: string };
}

/**
 * Follows a command. One that the read side has not heard of is waited for, at most `waitMs`: it may have been sent a moment ago.
 * @throws FleetgraphError NOT_FOUND when it doesn't appear.
 */
export function commandStream(
  live: LiveOptions,
  tenant: string,
  { id, since }: { readonly id: string; readonly since?: string | null },
  waitMs: number,
): Stream<CommandUpdate> {
  return createStream<'command', CommandUpdate>(live, {
    name: 'command',
    tenant,
    since,
    entity: 'command',
    id,
    // Every step is sent, however slow the client: there are few, and none is like the other.
    pending: () => createBoundedChanges(100),
    isState: false,
    tooOld: 'snapshot',
    payloadOf: ({ payload }) => updateOf(payload, false),
    isEnd: ({ payload }) => isFinal(payload.status),
    async hasEnded() {
      const { document } = await readCommand(live.sql, tenant, id);
      return document !== undefined && isFinal(document.status);
    },
    async snapshot(_behind, signal) {
      const { document, seq } = await appearance(live.sql, tenant, id, waitMs, signal);
      return {
        payloads: [updateOf(document, true)],
        seq,
        isEnd: isFinal(document.status),
      };
    },
  });
}

/** Documents from before there were attempts and progress say nothing of them. */
function updateOf(document: StoredCommand, snapshot: boolean): CommandUpdate {
  const { id, status, progress = null, progressMessage = null, attempt = 1 } = document;
  return { snapshot, status, progress, progressMessage, attempt, command: { id } };
}

type StoredCommand = Pick<CommandDocument, 'id' | 'status'> & Partial<CommandDocument>;

/** The command, as soon as it is there. */
async function appearance(
  sql: Sql,
  tenant: string,
  id: string,
  waitMs: number,
  signal: AbortSignal,
): Promise<{ readonly document: CommandDocument; readonly seq: bigint }> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    const { document, seq } = await readCommand(sql, tenant, id);
    if (document !== undefined) return { document, seq };
    if (signal.aborted || Date.now() > deadline)
      throw new FleetgraphError('NOT_FOUND', `There is no command "${id}" in your tenant.`, { field: 'id' });
    await pause(100, signal);
  }
}

async function readCommand(
  sql: Sql,
  tenant: string,
  id: string,
): Promise<{ readonly document: CommandDocument | undefined; readonly seq: bigint }> {
  const [row] = await sql.query<{ seq: bigint; document: CommandDocument | null }>(
    `SELECT coalesce((SELECT seq FROM projections.change_clocks WHERE tenant = $1), 0) AS seq, c.document
     FROM (SELECT) one LEFT JOIN projections.commands c ON c.tenant = $1 AND c.id = $2`,
    [tenant, id],
  );
  return { seq: row?.seq ?? 0n, document: row?.document ?? undefined };
}
