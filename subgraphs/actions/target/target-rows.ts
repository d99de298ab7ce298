/**
 * The SQL of `actions.command_targets` and `actions.command_target_types`: the devices that commands may go to, and what
 * their types say of commands, as the events tell.
 * A device is registered once and decommissioned at most once, for good. What describes it, and the definition of a type,
 * is replaced by what happened later, never by what happened before: each statement is right in any order, any number of times.
 */
import type { CommandDefinition } from '../../../backbone/devices/command-schema.js';
import { labelsInJson, type SelectorColumns } from '../../../backbone/devices/label-selector.js';
import type { Sql } from '../../../platform/database/sql.js';

export interface TargetKey {
  readonly tenant: string;
  readonly deviceId: string;
}

/** A device as an event describes it. */
export interface DescribedTarget extends TargetKey {
  readonly typeId: string;
  readonly labels: Readonly<Record<string, string>>;
  /** When the event happened, RFC 3339. */
  readonly at: string;
}

/** What selectors look at, of `actions.command_targets t`. */
export const targetColumns: SelectorColumns = {
  id: 't.device_id',
  typeId: 't.type_id',
  hasLabel: labelsInJson('t.labels'),
};

/** The type that is there without having been defined. */
const genericTypeId = 'generic';

/** What is known of a device as a target of commands. */
export interface Target {
  /** Whether it takes commands. */
  readonly active: boolean;
  readonly typeId: string;
  /** The commands that its type defines; undefined while the type has not been heard of, which it will be. */
  readonly commands: readonly CommandDefinition[] | undefined;
}

/** The tenant's device; undefined if it is not known (yet). */
export async function findTarget(sql: Sql, key: TargetKey): Promise<Target | undefined> {
  const [row] = await sql.query<{ active: boolean; typeId: string; commands: readonly CommandDefinition[] | null }>(
    `SELECT t.active, t.type_id AS "typeId", k.commands
     FROM actions.command_targets t
     LEFT JOIN actions.command_target_types k ON k.tenant = t.tenant AND k.type_id = t.type_id
     WHERE t.tenant = $1::text AND t.device_id = $2::text`,
    [key.tenant, key.deviceId],
  );
  return row && { ...row, commands: row.commands ?? (row.typeId === genericTypeId ? [] : undefined) };
}

/** Those of the devices that are known, with their types. */
export async function findKnownTargets(sql: Sql, keys: readonly TargetKey[]): Promise<readonly TargetKey[]> {
  return sql.query<TargetKey>(
    `SELECT t.tenant, t.device_id AS "deviceId" FROM actions.command_targets t
     JOIN unnest($1::text[], $2::text[]) AS wanted(tenant, device_id) ON t.device_id = wanted.device_id AND t.tenant = wanted.tenant
     WHERE t.type_id = '${genericTypeId}'
        OR EXISTS (SELECT 1 FROM actions.command_target_types k WHERE k.tenant = t.tenant AND k.type_id = t.type_id)`,
    [keys.map(({ tenant }) => tenant), keys.map(({ deviceId }) => deviceId)],
  );
}

/** Takes note that the devices exist, and of their types and labels. One that is decommissioned stays so. */
export async function addTargets(sql: Sql, targets: readonly DescribedTarget[]): Promise<void> {
  await sql.query(
    `INSERT INTO actions.command_targets AS t (device_id, tenant, active, revision, type_id, labels, described_at)
     SELECT DISTINCT ON (d."deviceId") d."deviceId", d.tenant, true, 1, d."typeId", d.labels, d.at
     FROM jsonb_to_recordset($1::jsonb) AS d(tenant text, "deviceId" text, "typeId" text, labels jsonb, at timestamptz)
     ORDER BY d."deviceId", d.at DESC
     ON CONFLICT (device_id) DO UPDATE SET type_id = excluded.type_id, labels = excluded.labels, described_at = excluded.described_at
     WHERE t.tenant = excluded.tenant AND t.described_at <= excluded.described_at`,
    [JSON.stringify(targets)],
  );
}

/** Takes note that the devices take no commands any more. */
export async function closeTargets(sql: Sql, keys: readonly TargetKey[]): Promise<void> {
  await sql.query(
    `INSERT INTO actions.command_targets AS t (device_id, tenant, active, revision)
     SELECT DISTINCT ON (d.device_id) d.device_id, d.tenant, false, 2 FROM unnest($1::text[], $2::text[]) AS d(tenant, device_id)
     ORDER BY d.device_id ON CONFLICT (device_id) DO UPDATE SET active = false, revision = 2
     WHERE t.tenant = excluded.tenant AND t.active`,
    [keys.map(({ tenant }) => tenant), keys.map(({ deviceId }) => deviceId)],
  );
}

/** The definition of a type as an event tells it. */
export interface TargetType {
  readonly tenant: string;
  readonly typeId: string;
  readonly commands: readonly CommandDefinition[];
  /** When the event happened, RFC 3339. */
  readonly at: string;
}

/** Takes note of what types say about commands. */
export async function defineTargetTypes(sql: Sql, types: readonly TargetType[]): Promise<void> {
  // In the order of the events, of which the last holds: a statement must not write one row twice.
  const last = new Map(types.map((type) => [JSON.stringify([type.tenant, type.typeId]), type]));
  await sql.query(
    `INSERT INTO actions.command_target_types AS t (tenant, type_id, commands, defined_at)
     SELECT k.tenant, k."typeId", k.commands, k.at
     FROM jsonb_to_recordset($1::jsonb) AS k(tenant text, "typeId" text, commands jsonb, at timestamptz)
     ORDER BY k.tenant, k."typeId"
     ON CONFLICT (tenant, type_id) DO UPDATE SET commands = excluded.commands, defined_at = excluded.defined_at
     WHERE t.defined_at <= excluded.defined_at`,
    [JSON.stringify([...last.values()])],
  );
}

/** The types of the tenant that have been heard of, by id. */
export async function findTargetTypes(
  sql: Sql,
  tenant: string,
  typeIds: readonly string[],
): Promise<ReadonlyMap<string, readonly CommandDefinition[]>> {
  const rows = await sql.query<{ typeId: string; commands: readonly CommandDefinition[] }>(
    `SELECT type_id AS "typeId", commands FROM actions.command_target_types
     WHERE tenant = $1::text AND type_id = ANY($2::text[])`,
    [tenant, typeIds],
  );
  return new Map(rows.map(({ typeId, commands }) => [typeId, commands]));
}
