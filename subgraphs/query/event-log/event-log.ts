/** The event log, newest first, by keyset over the tenant's change sequence. */
import type { LoggedEvent } from '../../../backbone/changes/change.js';
import { readEventTypes } from '../../../backbone/events/event-type-input.js';
import { readFilterId } from '../../../platform/graphql/filter-id.js';
import { decodeCursor, encodeCursor, pageSize, toConnection, type Connection } from '../../../platform/graphql/page.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';

export interface EventFilter {
  readonly types?: readonly string[] | null;
  readonly subject?: string | null;
  readonly actor?: string | null;
  readonly correlationId?: string | null;
  readonly from?: Date | null;
  readonly to?: Date | null;
}

interface EventNode extends LoggedEvent {
  readonly seq: bigint;
}

const order = 'event-log';

/** A page of the log. @throws FleetgraphError BAD_USER_INPUT for a page size, a cursor, a type or a subject that can't be. */
export async function readEventLog(
  sql: Sql,
  tenant: string,
  args: { readonly first?: number | null; readonly after?: string | null; readonly filter?: EventFilter | null },
): Promise<Connection<LoggedEvent>> {
  const size = pageSize(args);
  const before = seqOf(args.after);
  const { types, subject, actor, correlationId, from, to } = args.filter ?? {};
  const rows = await sql.query<{
    seq: bigint;
    id: string;
    type: string;
    source: string;
    subject: string;
    time: Date;
    data: unknown;
    actor: string | null;
    client_address: string | null;
    correlation_id: string | null;
    causation_id: string | null;
  }>(
    `SELECT seq, id, type, source, subject, time, data, actor, client_address, correlation_id, causation_id FROM projections.event_log
     WHERE tenant = $1 AND ($2::bigint IS NULL OR seq < $2)
       AND ($3::text[] IS NULL OR type = ANY($3)) AND ($4::text IS NULL OR subject = $4)
       AND ($5::timestamptz IS NULL OR time >= $5) AND ($6::timestamptz IS NULL OR time < $6)
       AND ($7::text IS NULL OR actor = $7) AND ($8::text IS NULL OR correlation_id = $8)
     ORDER BY seq DESC LIMIT $9`,
    [
      tenant,
      before,
      types ? readEventTypes(types, 'filter.types') : null,
      readFilterId(subject, 'filter.subject') ?? null,
      from ?? null,
      to ?? null,
      actor ?? null,
      correlationId ?? null,
      size + 1,
    ],
  );
  const nodes = rows.map((row): EventNode => ({
    seq: row.seq,
    id: row.id,
    type: row.type,
    source: row.source,
    subject: row.subject,
    time: row.time.toISOString(),
    data: row.data,
    actor: row.actor,
    clientAddress: row.client_address,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
  }));
  return toConnection(nodes, size, args, ({ seq }) => encodeCursor(order, [seq.toString()]));
}

/** The sequence number that the page begins below; null to begin with the newest. */
function seqOf(after: string | null | undefined): string | null {
  const key = decodeCursor(order, after, 1);
  if (key === undefined) return null;
  const [seq = ''] = key;
  // At most 18 digits: always within a bigint of PostgreSQL.
  if (!/^\d{1,18}$/.test(seq))
    throw new FleetgraphError('BAD_USER_INPUT', 'The cursor is not one of this list.', { field: 'after' });
  return seq;
}
