/** The SQL of `actions.webhook_deliveries` outside of the attempts: what is put into the queue, and what people read of it. */
import type { Event } from '../../../../backbone/events/envelope.js';
import type { Sql } from '../../../../platform/database/sql.js';
import { deliveryIdOf, longestPendingMs, payloadOf, type Delivery, type DeliveryStatus } from './delivery.js';

const columns = `id, tenant, webhook_id AS "webhookId", event_id AS "eventId", type, subject, payload, status::text AS status, attempts,
  created_at AS "createdAt", CASE WHEN status = 'PENDING' AND lease IS NULL THEN due_at END AS "nextAttemptAt",
  last_attempt_at AS "lastAttemptAt", response_status AS "responseStatus", latency_ms AS "latencyMs", error,
  completed_at AS "completedAt"`;

/**
 * Queues each event for every webhook that asks for it; one that is queued already is not queued again.
 * A webhook gets what has happened since it was created.
 * @returns how many were queued.
 */
export async function queueEvents(sql: Sql, events: readonly Event[], tries: number): Promise<number> {
  const wanted = await sql.query<{ webhookId: string; eventId: string }>(
    `SELECT w.id AS "webhookId", e.id AS "eventId"
     FROM jsonb_to_recordset($1::jsonb) AS e(id text, tenant text, type text, time timestamptz, "ruleId" text, severity text)
     JOIN actions.webhooks w ON w.tenant = e.tenant AND e.time >= w.created_at
     WHERE EXISTS (SELECT 1 FROM unnest(w.event_types) AS t(type)
                   WHERE e.type = t.type OR (right(t.type, 2) = '.*' AND starts_with(e.type, left(t.type, -1))))
       AND (NOT starts_with(e.type, 'io.fleetgraph.alert.')
            OR ((cardinality(w.rule_ids) = 0 OR e."ruleId" = ANY(w.rule_ids))
                AND (cardinality(w.severities) = 0 OR e.severity = ANY(w.severities))))`,
    [JSON.stringify(events.map(({ id, tenant, type, time, data }) => ({ id, tenant, type, time, ...alertOf(data) })))],
  );
  if (wanted.length === 0) return 0;
  const byId = new Map(events.map((event) => [event.id, event]));
  return insertDeliveries(
    sql,
    wanted.flatMap(({ webhookId, eventId }) => {
      const event = byId.get(eventId);
      return event === undefined ? [] : [{ webhookId, event }];
    }),
    { tries, pendingMs: longestPendingMs },
  );
}

function alertOf(data: unknown): { readonly ruleId?: string; readonly severity?: string } {
  const { ruleId, severity } = data as { readonly ruleId?: unknown; readonly severity?: unknown };
  return {
    ...(typeof ruleId === 'string' ? { ruleId } : {}),
    ...(typeof severity === 'string' ? { severity } : {}),
  };
}

/**
 * Puts deliveries into the queue, due at once. One that is known, or whose webhook is gone, is passed over.
 * They are dated in whole milliseconds, as the cursors of pages are. @returns how many are new.
 */
export async function insertDeliveries(
  sql: Sql,
  deliveries: readonly { readonly webhookId: string; readonly event: Event }[],
  limits: { readonly tries: number; readonly pendingMs: number },
): Promise<number> {
  const rows = deliveries.map(({ webhookId, event }) => ({
    id: deliveryIdOf(webhookId, event.id),
    webhookId,
    tenant: event.tenant,
    eventId: event.id,
    type: event.type,
    subject: event.subject,
    payload: payloadOf(event),
  }));
  // FOR KEY SHARE waits for a deletion that is under way, instead of failing at the foreign key.
  const inserted = await sql.query(
    `WITH present AS (
       SELECT w.id, w.tenant FROM actions.webhooks w
       WHERE w.id IN (SELECT r."webhookId" FROM jsonb_to_recordset($1::jsonb) AS r("webhookId" text)) ORDER BY w.id FOR KEY SHARE)
     INSERT INTO actions.webhook_deliveries (id, tenant, webhook_id, event_id, type, subject, payload, tries_left, due_at, expires_at, created_at)
     SELECT d.id, d.tenant, d."webhookId", d."eventId", d.type, d.subject, d.payload, $2::int, now(), now() + $3::float8 * interval '1 millisecond', date_trunc('milliseconds', now())
     FROM jsonb_to_recordset($1::jsonb) AS d(id text, tenant text, "webhookId" text, "eventId" text, type text, subject text, payload text)
     JOIN present ON present.id = d."webhookId" AND present.tenant = d.tenant
     ORDER BY d.id ON CONFLICT (webhook_id, event_id) DO NOTHING RETURNING 1 AS queued`,
    [JSON.stringify(rows), limits.tries, limits.pendingMs],
  );
  return inserted.length;
}

/** The tenant's deliveries with these ids, in no order. */
export async function findDeliveries(sql: Sql, tenant: string, ids: readonly string[]): Promise<readonly Delivery[]> {
  return sql.query<Delivery>(
    `SELECT ${columns} FROM actions.webhook_deliveries WHERE tenant = $1::text AND id = ANY($2::text[])`,
    [tenant, ids],
  );
}

export interface DeliveryQuery {
  readonly webhookId?: string | undefined;
  readonly statuses?: readonly DeliveryStatus[] | undefined;
  readonly eventId?: string | undefined;
  readonly limit: number;
  /** Only what comes behind this one, newest first. */
  readonly after: { readonly createdAtMs: number; readonly id: string } | undefined;
}

/** The tenant's deliveries, newest first. */
export async function listDeliveries(sql: Sql, tenant: string, query: DeliveryQuery): Promise<readonly Delivery[]> {
  return sql.query<Delivery>(
    `SELECT ${columns} FROM actions.webhook_deliveries
     WHERE tenant = $1::text AND ($3::text IS NULL OR webhook_id = $3) AND ($4::text[] IS NULL OR status::text = ANY($4))
       AND ($5::text IS NULL OR event_id = $5)
       AND ($6::timestamptz IS NULL OR (created_at, id) < ($6::timestamptz, $7::text))
     ORDER BY created_at DESC, id DESC LIMIT $2::int`,
    [
      tenant,
      query.limit,
      query.webhookId ?? null,
      query.statuses ?? null,
      query.eventId ?? null,
      query.after === undefined ? null : new Date(query.after.createdAtMs),
      query.after?.id ?? '',
    ],
  );
}

/** Puts a delivery that has ended into the queue again, under its id. @returns whether it had ended. */
export async function requeueDelivery(sql: Sql, tenant: string, id: string, tries: number): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE actions.webhook_deliveries
     SET status = 'PENDING', tries_left = $3::int, due_at = now(), lease = NULL, completed_at = NULL,
         expires_at = now() + $4::float8 * interval '1 millisecond'
     WHERE tenant = $1::text AND id = $2::text AND status <> 'PENDING' RETURNING 1 AS requeued`,
    [tenant, id, tries, longestPendingMs],
  );
  return rows.length > 0;
}
