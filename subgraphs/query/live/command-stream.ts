/** The subscription `command`: a command to its end. */
import { isFinal, type CommandDocument } from '../../../backbone/changes/change.js';
import type { Sql } from '../../../platform/database/sql.js';
import { requireCommand } from '../consistency/existence.js';
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

/** Follows a command. One that was sent a moment ago is waited for. */
export function commandStream(
  live: LiveOptions,
  tenant: string,
  { id, since }: { readonly id: string; readonly since?: string | null },
): Stream<CommandUpdate> {
  const requireSubject = (): Promise<void> => requireCommand(live, tenant, id);
  return createStream<'command', CommandUpdate>(live, {
    name: 'command',
    tenant,
    since,
    entity: 'command',
    id,
    requireSubject,
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
    async snapshot() {
      let { document, seq } = await readCommand(live.sql, tenant, id);
      if (document === undefined) {
        await requireSubject();
        ({ document, seq } = await readCommand(live.sql, tenant, id));
      }
      // The read side has applied its first event, so this is a defect.
      if (document === undefined) throw new Error(`The command ${id} is in the event log and in no projection.`);
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
