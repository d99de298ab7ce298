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
  await appendAll(transaction, [request]);
  return request.expectedRevision + request.events.length;
}

/** Appends to several streams in one statement, for bulk mutations. @throws as `append`, with nothing appended. */
export async function appendAll(transaction: Sql, requests: readonly AppendRequest[]): Promise<void> {
  const rows = requests.flatMap(({ tenant, stream, expectedRevision, events }) =>
    events.map((event, index) => ({
      tenant,
      stream,
      revision: expectedRevision + index + 1,
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
    })),
  );
  try {
    await transaction.query(
      `INSERT INTO events.events (tenant, stream, revision, id, type, source, subject, time, data, actor, traceparent, correlation_id, causation_id)
       SELECT e.tenant, e.stream, e.revision, e.id, e.type, e.source, e.subject, e.time, e.data, e.actor, e.traceparent, e.correlation_id, e.causation_id
       FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (tenant text, stream text, revision int, id uuid, type text, source text, subject text,
            time timestamptz, data jsonb, actor text, traceparent text, correlation_id text, causation_id text)) WITH ORDINALITY
            AS e(tenant, stream, revision, id, type, source, subject, time, data, actor, traceparent, correlation_id, causation_id, n)
       ORDER BY e.n`,
      [JSON.stringify(rows)],
    );
  } catch (error) {
    if (isRevisionTaken(error)) {
      const what = requests.length === 1 ? (requests[0]?.stream ?? 'The stream') : 'One of the streams';
      throw new FleetgraphError(
        'CONFLICT',
        `${what} was changed by someone else at the same time. Read it again and retry.`,
        { cause: error },
      );
    }
    throw error;
  }
}

/** unique_violation (23505), as `pg` or as Prisma's P2010 raw query error shows it. */
function isRevisionTaken(error: unknown): boolean {
  if (codeOf(error) === '23505') return true;
  return codeOf(error) === 'P2010' && JSON.stringify((error as { meta?: unknown }).meta ?? {}).includes('23505');
}
