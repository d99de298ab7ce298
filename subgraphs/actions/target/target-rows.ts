/**
 * The SQL of `actions.command_targets`: the devices that commands may go to, as their events tell.
 * A device is registered once and decommissioned at most once, for good; so each statement is right in any order and any
 * number of times, and `revision` only counts these two: 1 active, 2 decommissioned.
 */
import type { Sql } from '../../../platform/database/sql.js';

export interface TargetKey {
  readonly tenant: string;
  readonly deviceId: string;
}

/** Whether the tenant's device takes commands; undefined if it is not known (yet). */
export async function findTarget(sql: Sql, key: TargetKey): Promise<{ readonly active: boolean } | undefined> {
  const rows = await sql.query<{ active: boolean }>(
    'SELECT active FROM actions.command_targets WHERE tenant = $1::text AND device_id = $2::text',
    [key.tenant, key.deviceId],
  );
  return rows[0];
}

/** Those of the devices that are known. */
export async function findKnownTargets(sql: Sql, keys: readonly TargetKey[]): Promise<readonly TargetKey[]> {
  return sql.query<TargetKey>(
    `SELECT t.tenant, t.device_id AS "deviceId" FROM actions.command_targets t
     JOIN unnest($1::text[], $2::text[]) AS wanted(tenant, device_id) ON t.device_id = wanted.device_id AND t.tenant = wanted.tenant`,
    [keys.map(({ tenant }) => tenant), keys.map(({ deviceId }) => deviceId)],
  );
}

/** Takes note that the devices exist. One that is known already, decommissioned perhaps, stays as it is. */
export async function addTargets(sql: Sql, keys: readonly TargetKey[]): Promise<void> {
  await sql.query(
    `INSERT INTO actions.command_targets (device_id, tenant, active, revision)
     SELECT DISTINCT ON (d.device_id) d.device_id, d.tenant, true, 1 FROM unnest($1::text[], $2::text[]) AS d(tenant, device_id)
     ORDER BY d.device_id ON CONFLICT (device_id) DO NOTHING`,
    [keys.map(({ tenant }) => tenant), keys.map(({ deviceId }) => deviceId)],
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
