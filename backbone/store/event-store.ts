/**
 * The event store: append-only streams in PostgreSQL, and the outbox of the relay.
 * `append` runs in the caller's transaction, so that the write model and its events commit together or not at all.
 */
import type { Sql } from '../../platform/database/sql.js';
import { codeOf, FleetgraphError } from '../../platform/errors.js';
import type { DomainEventType } from '../events/catalogue.js';
import type { Event } from '../events/envelope.js';

/** Number of the last event of a stream; 0 before the first. */
export type StreamRevision = number;

export interface AppendRequest {
  readonly tenant: string;
  /** E.g. `device-{id}`, `command-{id}`, `device-type-{id}`. */
  readonly stream: string;
  /** Revision that the caller's decision was made on; 0 for a new stream. */
  readonly expectedRevision: StreamRevision;
  readonly events: readonly Event<DomainEventType>[];
}

/**
 * Appends events behind `expectedRevision`.
 * @returns the new revision of the stream.
 * @throws FleetgraphError CONFLICT when someone else appended first: read again and decide again.
 */
export async function append(transaction: Sql, request: AppendRequest): Promise<StreamRevision> {
  const rows = request.events.map((event, index) => ({
    id: event.id,
    type: event.type,
    source: event.source,
    subject: event.subject,
    time: event.time,
    data: event.data,
    actor: event.actor ?? null,
    traceparent: event.traceparent ?? null,
    correlation_id: event.correlationid ?? null,
    causation_id: event.causationid ?? null,
    revision: request.expectedRevision + index + 1,
  }));
  try {
    await transaction.query(
      `INSERT INTO events.events (tenant, stream, revision, id, type, source, subject, time, data, actor, traceparent, correlation_id, causation_id)
       SELECT $1::text, $2::text, e.revision, e.id, e.type, e.source, e.subject, e.time, e.data, e.actor, e.traceparent, e.correlation_id, e.causation_id
       FROM jsonb_to_recordset($3::jsonb) AS e(revision int, id uuid, type text, source text, subject text, time timestamptz, data jsonb,
            actor text, traceparent text, correlation_id text, causation_id text)
       ORDER BY e.revision`,
      [request.tenant, request.stream, JSON.stringify(rows)],
    );
  } catch (error) {
    if (isRevisionTaken(error)) {
      throw new FleetgraphError(
        'CONFLICT',
        `${request.stream} was changed by someone else at the same time. Read it again and retry.`,
        { cause: error },
      );
    }
    throw error;
  }
  return request.expectedRevision + rows.length;
}

/** unique_violation (23505), as `pg` or as Prisma's P2010 raw query error shows it. */
function isRevisionTaken(error: unknown): boolean {
  if (codeOf(error) === '23505') return true;
  return codeOf(error) === 'P2010' && JSON.stringify((error as { meta?: unknown }).meta ?? {}).includes('23505');
}
