/**
 * Domain events into the registry, the commands, the alerts and the event log: one transaction a batch.
 * Invariant: an event has its effect once, in the transaction that writes its id to projections.event_log; a second
 * delivery finds the id and has none. Deliveries of one partition are serialised by an advisory lock, so that a member
 * that lost the partition and its successor can't both find the id missing.
 */
import type pg from 'pg';
import type { CommandDocument, LoggedEvent } from '../../../backbone/changes/change.js';
import type { DomainEventType } from '../../../backbone/events/catalogue.js';
import type { Event } from '../../../backbone/events/envelope.js';
import { inTransaction, type Sql } from '../../../platform/database/sql.js';
import { appendChanges, type NumberedChange, type PendingChange } from '../change-log.js';
import { withDevices } from './alert-devices.js';
import { applyToAlerts, applyToRules } from './apply-alerts.js';
import { applyToTwins } from './apply-to-twins.js';
import { evolveCommand, isCommandEvent } from './evolve-command.js';
import { replayLock, type ProjectionSchema } from '../projection-schema.js';
import { evolveDevice, isDeviceEvent, type RegistryEntry } from './evolve-device.js';

type DomainEvent = Event<DomainEventType>;

/** First key of the advisory lock; the second is the partition. */
const eventsLock = 72_707_402;

/** Applies a batch of one partition. @returns the changes that it committed. */
export async function applyEvents(
  options: { readonly pool: pg.Pool },
  partition: number,
  events: readonly DomainEvent[],
): Promise<readonly NumberedChange[]> {
  if (events.length === 0) return [];
  return inTransaction(options.pool, async (sql) => {
    // The shared one is in the way of nobody but a replay that switches over.
    await sql.query('SELECT pg_advisory_xact_lock_shared($3), pg_advisory_xact_lock($1::int, $2::int)', [
      ...[eventsLock, partition, replayLock],
    ]);
    const fresh = await notLogged(sql, events);
    if (fresh.length === 0) return [];
    await applyToRegistry(sql, fresh);
    const commands = await applyToCommands(sql, fresh);
    const alerts = await applyToAlerts(sql, fresh);
    const twins = await applyToTwins(sql, fresh);
    await applyToRules(sql, fresh);
    const pending = fresh.flatMap((event): PendingChange[] => {
      const change = commands.get(event.id) ?? alerts.get(event.id) ?? twins.get(event.id);
      return change === undefined ? [eventChange(event)] : [eventChange(event), change];
    });
    const changes = await appendChanges(sql, await withDevices(sql, pending));
    await logEvents(sql, changes);
    return changes;
  });
}

/** The events whose id is not in the log, each once, in order. */
async function notLogged(sql: Sql, events: readonly DomainEvent[]): Promise<readonly DomainEvent[]> {
  const byId = new Map(events.toReversed().map((event) => [event.id, event]));
  const logged = await sql.query<{ id: string }>('SELECT id FROM projections.event_log WHERE id = ANY($1::uuid[])', [
    [...byId.keys()],
  ]);
  for (const { id } of logged) byId.delete(id);
  return events.filter((event) => byId.get(event.id) === event);
}

/** Keeps the devices as the registry's events say. */
export async function applyToRegistry(
  sql: Sql,
  events: readonly DomainEvent[],
  schema: ProjectionSchema = 'projections',
): Promise<void> {
  const deviceEvents = events.filter(isDeviceEvent);
  if (deviceEvents.length === 0) return;
  const rows = await sql.query<{
    tenant: string;
    device_id: string;
    name: string;
    type_id: string;
    labels: Record<string, string>;
    active: boolean;
    revision: number;
  }>(
    `SELECT tenant, device_id, name, type_id, labels, active, revision FROM ${schema}.devices
     WHERE device_id = ANY($1::text[]) ORDER BY device_id FOR UPDATE`,
    [[...new Set(deviceEvents.map(({ data }) => data.deviceId))]],
  );
  const entries = new Map<string, RegistryEntry>(
    rows.map((row) => [
      row.device_id,
      {
        tenant: row.tenant,
        deviceId: row.device_id,
        name: row.name,
        typeId: row.type_id,
        labels: row.labels,
        active: row.active,
        revision: row.revision,
      },
    ]),
  );
  const changed = new Map<string, RegistryEntry>();
  for (const event of deviceEvents) {
    const { deviceId } = event.data;
    const entry = entries.get(deviceId);
    if (entry !== undefined && entry.tenant !== event.tenant) continue;
    const next = evolveDevice(entry, event);
    if (next === undefined) continue;
    entries.set(deviceId, next);
    changed.set(deviceId, next);
  }
  const list = [...changed.values()];
  await sql.query(
    `INSERT INTO ${schema}.devices (device_id, tenant, name, type_id, labels, active, revision)
     SELECT n.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::boolean[], $7::int[])
          AS n(device_id, tenant, name, type_id, labels, active, revision) ORDER BY n.device_id
     ON CONFLICT (device_id) DO UPDATE SET name = excluded.name, type_id = excluded.type_id, labels = excluded.labels,
       active = excluded.active, revision = excluded.revision`,
    [
      list.map(({ deviceId }) => deviceId),
      list.map(({ tenant }) => tenant),
      list.map(({ name }) => name),
      list.map(({ typeId }) => typeId),
      list.map(({ labels }) => JSON.stringify(labels)),
      list.map(({ active }) => active),
      list.map(({ revision }) => revision),
    ],
  );
}

/** Writes the commands that change. @returns the change of each event that made one, by the event's id. */
export async function applyToCommands(
  sql: Sql,
  events: readonly DomainEvent[],
  schema: ProjectionSchema = 'projections',
): Promise<ReadonlyMap<string, PendingChange>> {
  const commandEvents = events.filter(isCommandEvent);
  const changes = new Map<string, PendingChange>();
  if (commandEvents.length === 0) return changes;
  const rows = await sql.query<{ id: string; tenant: string; document: CommandDocument; revision: number }>(
    `SELECT id, tenant, document, revision FROM ${schema}.commands WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE`,
    [[...new Set(commandEvents.map(({ data }) => data.commandId))]],
  );
  const known = new Map(rows.map((row) => [row.id, row]));
  const changed = new Map<string, (typeof rows)[number]>();
  for (const event of commandEvents) {
    const id = event.data.commandId;
    const row = known.get(id);
    if (row !== undefined && row.tenant !== event.tenant) continue;
    const document = evolveCommand(row?.document, event);
    if (document === undefined) continue;
    const next = { id, tenant: event.tenant, document, revision: (row?.revision ?? 0) + 1 };
    known.set(id, next);
    changed.set(id, next);
    if (document === row?.document) continue;
    changes.set(event.id, {
      tenant: event.tenant,
      entity: 'command',
      id,
      version: BigInt(next.revision),
      traceparent: event.traceparent,
      payload: document,
    });
  }
  const list = [...changed.values()];
  await sql.query(
    `INSERT INTO ${schema}.commands (id, tenant, device_id, document, revision, updated_at)
     SELECT n.id, n.tenant, n.document->>'deviceId', n.document, n.revision, (n.document->>'updatedAt')::timestamptz
     FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::int[]) AS n(id, tenant, document, revision) ORDER BY n.id
     ON CONFLICT (id) DO UPDATE SET document = excluded.document, revision = excluded.revision, updated_at = excluded.updated_at`,
    [
      list.map(({ id }) => id),
      list.map(({ tenant }) => tenant),
      list.map(({ document }) => JSON.stringify(document)),
      list.map(({ revision }) => revision),
    ],
  );
  return changes;
}

function eventChange(event: DomainEvent): PendingChange {
  const payload: LoggedEvent = {
    id: event.id,
    type: event.type,
    source: event.source,
    subject: event.subject,
    time: event.time,
    data: event.data,
    actor: event.actor ?? null,
    clientAddress: event.clientaddress ?? null,
    correlationId: event.correlationid ?? null,
    causationId: event.causationid ?? null,
  };
  return {
    tenant: event.tenant,
    entity: 'event',
    id: event.id,
    version: 1n,
    traceparent: event.traceparent,
    payload,
  };
}

/** An event has the number of its change, so that one cursor fits the log and the subscription. */
async function logEvents(sql: Sql, changes: readonly NumberedChange[]): Promise<void> {
  const logged = changes.flatMap(({ change }) =>
    change.entity === 'event' ? [{ ...change.payload, tenant: change.tenant, seq: change.seq.toString() }] : [],
  );
  await sql.query(
    `INSERT INTO projections.event_log (tenant, seq, id, type, source, subject, time, data, actor, client_address, correlation_id, causation_id)
     SELECT e.tenant, e.seq, e.id, e.type, e.source, e.subject, e.time, e.data, e.actor, e."clientAddress", e."correlationId", e."causationId"
     FROM jsonb_to_recordset($1::jsonb) AS e(tenant text, seq bigint, id uuid, type text, source text, subject text,
          time timestamptz, data jsonb, actor text, "clientAddress" text, "correlationId" text, "causationId" text)`,
    [JSON.stringify(logged)],
  );
}
