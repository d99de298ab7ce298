/** The SQL of `actions.alerts`. */
import { selectorConditions, type DeviceSelector } from '../../../backbone/devices/label-selector.js';
import type { Sql } from '../../../platform/database/sql.js';
import type { RuleSeverity } from '../../../backbone/rules/definition.js';
import { lockStreams } from '../../../backbone/store/stream-lock.js';
import { targetColumns } from '../target/target-rows.js';
import type { Alert } from './alert.js';

/** An alert with the number of the last fact of its rule that it has taken in. */
export interface StoredAlert extends Alert {
  readonly factSequence: number;
}

const columns = `id, tenant, rule_id AS "ruleId", rule_name AS "ruleName", device_id AS "deviceId", severity, status,
  first_at AS "firstAt", last_at AS "lastAt", count, readings, actions, acknowledged_at AS "acknowledgedAt",
  acknowledged_by AS "acknowledgedBy", cleared_at AS "clearedAt", cleared_by AS "clearedBy", clear_cause AS "clearCause",
  comments, recoveries, held_until AS "heldUntil", fact_sequence AS "factSequence", revision`;

/** A rule and a device: there is at most one active alert for each. */
export interface Slot {
  readonly tenant: string;
  readonly ruleId: string;
  readonly deviceId: string;
}

export function slotName({ ruleId, deviceId }: Omit<Slot, 'tenant'>): string {
  return `${ruleId}/${deviceId}`;
}

/** Waits until nobody else acts on the alerts of these slots, and lets nobody until the end of the transaction. */
export async function lockSlots(transaction: Sql, slots: readonly Slot[]): Promise<void> {
  await lockStreams(
    transaction,
    slots.map((slot) => ({ tenant: slot.tenant, stream: `alerts-${slotName(slot)}` })),
  );
}

/** The last alert of each slot that has had one. */
export async function lastAlerts(transaction: Sql, slots: readonly Slot[]): Promise<readonly StoredAlert[]> {
  return transaction.query<StoredAlert>(
    `SELECT last.* FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[])) AS slot(tenant, rule, device)
     CROSS JOIN LATERAL (
       SELECT ${columns} FROM actions.alerts WHERE rule_id = slot.rule AND device_id = slot.device AND tenant = slot.tenant
       ORDER BY fact_sequence DESC, first_at DESC LIMIT 1) last`,
    [slots.map(({ tenant }) => tenant), slots.map(({ ruleId }) => ruleId), slots.map(({ deviceId }) => deviceId)],
  );
}

/** The tenant's alerts with these ids, in no order. */
export async function findAlerts(sql: Sql, tenant: string, ids: readonly string[]): Promise<readonly StoredAlert[]> {
  return sql.query<StoredAlert>(
    `SELECT ${columns} FROM actions.alerts WHERE tenant = $1::text AND id = ANY($2::text[])`,
    [tenant, ids],
  );
}

/** Writes alerts, in the order given: one that ends before the next one of its slot that begins. */
export async function saveAlerts(transaction: Sql, alerts: readonly StoredAlert[]): Promise<void> {
  if (alerts.length === 0) return;
  await transaction.query(
    `INSERT INTO actions.alerts (id, tenant, rule_id, rule_name, device_id, severity, status, open_slot, first_at, last_at, count,
       readings, actions, acknowledged_at, acknowledged_by, cleared_at, cleared_by, clear_cause, comments, recoveries, held_until,
       fact_sequence, revision)
     SELECT n.id, n.tenant, n."ruleId", n."ruleName", n."deviceId", n.severity, n.status, n."openSlot", n."firstAt", n."lastAt", n.count,
       n.readings, n.actions, n."acknowledgedAt", n."acknowledgedBy", n."clearedAt", n."clearedBy", n."clearCause", n.comments,
       n.recoveries, n."heldUntil", n."factSequence", n.revision
     FROM jsonb_to_recordset($1::jsonb) AS n(id text, tenant text, "ruleId" text, "ruleName" text, "deviceId" text, severity text,
       status text, "openSlot" text, "firstAt" timestamptz, "lastAt" timestamptz, count int, readings jsonb, actions jsonb,
       "acknowledgedAt" timestamptz, "acknowledgedBy" text, "clearedAt" timestamptz, "clearedBy" text, "clearCause" text,
       comments jsonb, recoveries jsonb, "heldUntil" timestamptz, "factSequence" int, revision int)
     ON CONFLICT (id) DO UPDATE SET status = excluded.status, open_slot = excluded.open_slot, last_at = excluded.last_at,
       count = excluded.count, readings = excluded.readings, acknowledged_at = excluded.acknowledged_at,
       acknowledged_by = excluded.acknowledged_by, cleared_at = excluded.cleared_at, cleared_by = excluded.cleared_by,
       clear_cause = excluded.clear_cause, comments = excluded.comments, recoveries = excluded.recoveries,
       held_until = excluded.held_until, fact_sequence = excluded.fact_sequence, revision = excluded.revision`,
    [
      JSON.stringify(
        alerts.map((alert) => ({ ...alert, openSlot: alert.status === 'ACTIVE' ? slotName(alert) : null })),
      ),
    ],
  );
}

/** Slots of alerts that are held and due; somebody else may act on them before they are locked. */
export async function dueSlots(sql: Sql, now: Date, limit: number): Promise<readonly Slot[]> {
  return sql.query<Slot>(
    `SELECT tenant, rule_id AS "ruleId", device_id AS "deviceId" FROM actions.alerts
     WHERE held_until <= $1::timestamptz ORDER BY held_until LIMIT $2::int`,
    [now, limit],
  );
}

export interface AlertQuery {
  readonly limit: number;
  readonly after?: { readonly firstAtMs: number; readonly id: string } | undefined;
  readonly status?: string | undefined;
  readonly acknowledged?: boolean | undefined;
  readonly severity?: readonly RuleSeverity[] | undefined;
  readonly ruleId?: string | undefined;
  /** The same list for each of these devices; left out: one list for all. */
  readonly deviceIds?: readonly string[] | undefined;
  /** Only alerts of devices that are selected so now. */
  readonly selector?: DeviceSelector | undefined;
}

/** The tenant's alerts, newest first: at most `limit`, or at most `limit` of each device. */
export async function listAlerts(sql: Sql, tenant: string, query: AlertQuery): Promise<readonly StoredAlert[]> {
  const { limit, after, status, acknowledged, severity, ruleId, deviceIds, selector } = query;
  const parameters: unknown[] = [tenant, limit];
  const place = (value: unknown): string => `$${parameters.push(value)}`;
  const conditions = [
    'tenant = $1::text',
    ...(status === undefined ? [] : [`status = ${place(status)}::text`]),
    ...(acknowledged === undefined ? [] : [`acknowledged_at IS ${acknowledged ? 'NOT ' : ''}NULL`]),
    ...(severity === undefined ? [] : [`severity = ANY(${place(severity)}::text[])`]),
    ...(ruleId === undefined ? [] : [`rule_id = ${place(ruleId)}::text`]),
    ...(after === undefined
      ? []
      : [`(first_at, id) < (${place(new Date(after.firstAtMs))}::timestamptz, ${place(after.id)}::text)`]),
  ];
  const ofDevice = selectorConditions(selector ?? {}, targetColumns, place);
  if (ofDevice.length > 0)
    conditions.push(
      `EXISTS (SELECT FROM actions.command_targets t
               WHERE t.device_id = alerts.device_id AND t.tenant = alerts.tenant AND ${ofDevice.join(' AND ')})`,
    );
  const list = (
    extra: string,
  ): string => `SELECT ${columns} FROM actions.alerts WHERE ${conditions.join(' AND ')} ${extra}
     ORDER BY first_at DESC, id DESC LIMIT $2::int`;
  return sql.query<StoredAlert>(
    deviceIds === undefined
      ? list('')
      : `SELECT listed.* FROM unnest(${place(deviceIds)}::text[]) AS device(id)
         CROSS JOIN LATERAL (${list('AND device_id = device.id')}) listed ORDER BY listed."firstAt" DESC, listed.id DESC`,
    parameters,
  );
}
