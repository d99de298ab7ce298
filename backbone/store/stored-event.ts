import type { DomainEventType, EventData } from '../events/catalogue.js';
import { makeEvent, type Event } from '../events/envelope.js';

/** A row of events.events as it comes from the database. */
export interface StoredEventRow {
  readonly tenant: string;
  readonly id: string;
  readonly type: string;
  readonly source: string;
  readonly subject: string;
  readonly time: Date;
  readonly data: unknown;
  readonly actor: string | null;
  readonly client_address: string | null;
  readonly traceparent: string | null;
  readonly correlation_id: string | null;
  readonly causation_id: string | null;
}

/** The event that a row holds. @throws FleetgraphError INTERNAL_SERVER_ERROR if it doesn't fit the catalogue: it was never appended by us. */
export function toEvent(row: StoredEventRow): Event<DomainEventType> {
  const type = row.type as DomainEventType;
  return makeEvent({
    id: row.id,
    type,
    tenant: row.tenant,
    source: row.source,
    subject: row.subject,
    time: row.time.toISOString(),
    data: row.data as EventData<DomainEventType>,
    actor: row.actor ?? undefined,
    clientaddress: row.client_address ?? undefined,
    traceparent: row.traceparent ?? undefined,
    correlationid: row.correlation_id ?? undefined,
    causationid: row.causation_id ?? undefined,
  });
}
