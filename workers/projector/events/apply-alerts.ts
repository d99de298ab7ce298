/** Alerts and rules into the read side, in the transaction of their events. */
import type { AlertDocument } from '../../../backbone/changes/change.js';
import type { DomainEventType } from '../../../backbone/events/catalogue.js';
import type { Event } from '../../../backbone/events/envelope.js';
import type { Sql } from '../../../platform/database/sql.js';
import type { PendingChange } from '../change-log.js';
import type { ProjectionSchema } from '../projection-schema.js';
import { evolveAlert, isAlertEvent } from './evolve-alert.js';

type DomainEvent = Event<DomainEventType>;

interface Row {
  readonly id: string;
  readonly tenant: string;
  readonly document: AlertDocument;
  readonly revision: number;
}

/** Writes the alerts that change. @returns the change of each event that made one, by the event's id. */
export async function applyToAlerts(
  sql: Sql,
  events: readonly DomainEvent[],
  schema: ProjectionSchema = 'projections',
): Promise<ReadonlyMap<string, PendingChange>> {
  const alertEvents = events.filter(isAlertEvent);
  const changes = new Map<string, PendingChange>();
  if (alertEvents.length === 0) return changes;
  const rows = await sql.query<Row>(
    `SELECT id, tenant, document, revision FROM ${schema}.alerts WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE`,
    [[...new Set(alertEvents.map(({ data }) => data.alertId))]],
  );
  const known = new Map(rows.map((row) => [row.id, row]));
  const changed = new Map<string, Row>();
  for (const event of alertEvents) {
    const { tenant, traceparent } = event;
    const id = event.data.alertId;
    const row = known.get(id);
    if (row !== undefined && row.tenant !== tenant) continue;
    const document = evolveAlert(row?.document, event);
    if (document === undefined || document === row?.document) continue;
    const next = { id, tenant, document, revision: (row?.revision ?? 0) + 1 };
    known.set(id, next);
    changed.set(id, next);
    changes.set(event.id, {
      tenant,
      entity: 'alert',
      id,
      version: BigInt(next.revision),
      traceparent,
      payload: { ...document, device: null },
    });
  }
  await sql.query(
    `INSERT INTO ${schema}.alerts (id, tenant, device_id, active, document, revision)
     SELECT n.id, n.tenant, n.document->>'deviceId', n.document->>'status' = 'ACTIVE', n.document, n.revision
     FROM jsonb_to_recordset($1::jsonb) AS n(id text, tenant text, document jsonb, revision int) ORDER BY n.id
     ON CONFLICT (id) DO UPDATE SET active = excluded.active, document = excluded.document, revision = excluded.revision`,
    [JSON.stringify([...changed.values()])],
  );
  return changes;
}

/** Keeps the rules as they are, for tests against history. */
export async function applyToRules(
  sql: Sql,
  events: readonly DomainEvent[],
  schema: ProjectionSchema = 'projections',
): Promise<void> {
  for (const event of events) {
    if (event.type === 'io.fleetgraph.rule.created.v1' || event.type === 'io.fleetgraph.rule.updated.v1')
      await sql.query(
        `INSERT INTO ${schema}.rules AS r (id, tenant, definition) VALUES ($1, $2, $3::jsonb)
         ON CONFLICT (id) DO UPDATE SET definition = excluded.definition WHERE r.tenant = excluded.tenant`,
        [event.data.ruleId, event.tenant, JSON.stringify(event.data)],
      );
    else if (event.type === 'io.fleetgraph.rule.deleted.v1')
      await sql.query(`DELETE FROM ${schema}.rules WHERE id = $1 AND tenant = $2`, [event.data.ruleId, event.tenant]);
  }
}
