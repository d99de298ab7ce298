/**
 * The event store: append-only streams in PostgreSQL, and the outbox of the relay.
 * `append` runs in the caller's transaction, so that the write model and its events commit together or not at all.
 * Invariant: along a stream, transaction ids grow with revisions. The relay publishes in the order of transaction ids, and
 * a transaction that got its id early may append late (it waited for a lock on the way): such a one is refused and begins
 * again, with a new id. Who waits in `lockStream` (stream-lock.ts) before it writes is never refused for that.
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
 * @throws FleetgraphError CONFLICT when someone else appended first: read again and decide again. UNAVAILABLE when a
 * transaction that began later has appended to the stream before: do the same again in a new transaction.
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
      client_address: event.clientaddress ?? null,
      traceparent: event.traceparent ?? null,
      correlation_id: event.correlationid ?? null,
      causation_id: event.causationid ?? null,
    })),
  );
  let overtaken: readonly { readonly stream: string }[];
  try {
    overtaken = await transaction.query<{ stream: string }>(
      `WITH appended AS (
       INSERT INTO events.events (tenant, stream, revision, id, type, source, subject, time, data, actor, client_address, traceparent, correlation_id, causation_id)
       SELECT e.tenant, e.stream, e.revision, e.id, e.type, e.source, e.subject, e.time, e.data, e.actor, e.client_address, e.traceparent, e.correlation_id, e.causation_id
       FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (tenant text, stream text, revision int, id uuid, type text, source text, subject text,
            time timestamptz, data jsonb, actor text, client_address text, traceparent text, correlation_id text, causation_id text)) WITH ORDINALITY
            AS e(tenant, stream, revision, id, type, source, subject, time, data, actor, client_address, traceparent, correlation_id, causation_id, n)
       ORDER BY e.n
       RETURNING tenant, stream, revision, transaction_id)
       SELECT before.stream FROM appended JOIN events.events before
         ON before.tenant = appended.tenant AND before.stream = appended.stream AND before.revision = appended.revision - 1
       WHERE before.transaction_id > appended.transaction_id`,
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
  const [first] = overtaken;
  if (first !== undefined)
    throw new FleetgraphError(
      'UNAVAILABLE',
      `${first.stream} was changed by a transaction that began later. The same request may be retried.`,
    );
}

/** unique_violation (23505), as `pg` or as Prisma's P2010 raw query error shows it. */
function isRevisionTaken(error: unknown): boolean {
  if (codeOf(error) === '23505') return true;
  return codeOf(error) === 'P2010' && JSON.stringify((error as { meta?: unknown }).meta ?? {}).includes('23505');
}
