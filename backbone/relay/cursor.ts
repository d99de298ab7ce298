/**
 * How far a relay has published, and what comes next, in SQL. The store only grows, so no statement may read what lies
 * before the cursor: a join with the table of cursors would.
 */
import type { Sql } from '../../platform/database/sql.js';
import type { DomainEventType } from '../events/catalogue.js';
import type { Event } from '../events/envelope.js';
import { toEvent, type StoredEventRow } from '../store/stored-event.js';

/** A stored event with its place in the order of the relay. */
export interface Relayed {
  readonly event: Event<DomainEventType>;
  /** xid8 of its transaction, as text. */
  readonly transactionId: string;
  /** int8, as text. */
  readonly position: string;
}

/**
 * Compared with values that are read once, before, so that the index is read from the cursor on: wherever the rows are also
 * asked for in the order of the index, and only there. Name of the relay: $1.
 */
const behindCursor = `(e.transaction_id, e.position) > (
         coalesce((SELECT transaction_id FROM events.relay_cursors WHERE name = $1), '0'::xid8),
         coalesce((SELECT position FROM events.relay_cursors WHERE name = $1), 0))`;

export async function createCursor(sql: Sql, name: string): Promise<void> {
  await sql.query(
    `INSERT INTO events.relay_cursors (name, transaction_id, position) VALUES ($1, '0'::xid8, 0) ON CONFLICT DO NOTHING`,
    [name],
  );
}

/** The next events, oldest first: only of transactions that have ended, with every one before them. */
export async function readBehindCursor(sql: Sql, name: string, limit: number): Promise<Relayed[]> {
  const rows = await sql.query<StoredEventRow & { transaction_id: string; position: string }>(
    `SELECT e.transaction_id::text AS transaction_id, e.position::text AS position, e.tenant, e.id, e.type, e.source, e.subject, e.time, e.data,
            e.actor, e.client_address, e.traceparent, e.correlation_id, e.causation_id
     FROM events.events e
     WHERE ${behindCursor}
       AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
     ORDER BY e.transaction_id, e.position LIMIT $2`,
    [name, limit],
  );
  return rows.map((row) => ({
    event: toEvent(row),
    transactionId: row.transaction_id,
    position: row.position,
  }));
}

/** Moves the cursor forward, never back. */
export async function moveCursor(
  sql: Sql,
  name: string,
  to: Pick<Relayed, 'transactionId' | 'position'>,
): Promise<void> {
  await sql.query(
    `UPDATE events.relay_cursors SET transaction_id = $2::xid8, position = $3::bigint, updated_at = now()
     WHERE name = $1 AND (transaction_id, position) < ($2::xid8, $3::bigint)`,
    [name, to.transactionId, to.position],
  );
}

/** Whether there are committed events that are not published, though `readBehindCursor` may not give them yet. */
export async function hasBehindCursor(sql: Sql, name: string): Promise<boolean> {
  const rows = await sql.query(
    `SELECT 1 AS held FROM events.events e WHERE ${behindCursor} ORDER BY e.transaction_id, e.position LIMIT 1`,
    [name],
  );
  return rows.length > 0;
}

/** More are not counted: there may be millions after an outage, and each scrape would read them all. */
export const maxCountedLag = 10_000;

/** Events not published yet, at most `maxCountedLag`, and the age in seconds of the oldest of them. */
export async function relayLag(sql: Sql, name: string): Promise<{ events: number; seconds: number }> {
  const [row] = await sql.query<{ events: number; seconds: number | null }>(
    `SELECT count(*)::int AS events, extract(epoch FROM now() - min(behind.time))::double precision AS seconds
     FROM (SELECT e.time FROM events.events e WHERE ${behindCursor} ORDER BY e.transaction_id, e.position LIMIT $2) behind`,
    [name, maxCountedLag],
  );
  return { events: row?.events ?? 0, seconds: Math.max(0, row?.seconds ?? 0) };
}
