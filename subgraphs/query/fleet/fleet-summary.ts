/** The fleet of a tenant in numbers. */
import type { Sql } from '../../../platform/database/sql.js';

export interface FleetSummary {
  readonly devices: number;
  readonly online: number;
  readonly byType: readonly { readonly typeId: string; readonly devices: number; readonly online: number }[];
}

/** The summary, and the number of the tenant's last change that it holds. */
export async function readFleetSummary(
  sql: Sql,
  tenant: string,
): Promise<{ readonly summary: FleetSummary; readonly seq: bigint }> {
  // One statement, so that the counts and the clock are of one moment.
  const rows = await sql.query<{ type_id: string | null; devices: number; online: number; seq: bigint }>(
    `SELECT t.type_id, t.devices, t.online,
            coalesce((SELECT seq FROM projections.change_clocks WHERE tenant = $1), 0) AS seq
     FROM (SELECT) one LEFT JOIN (
       SELECT d.type_id, count(*)::int AS devices, (count(*) FILTER (WHERE s.online))::int AS online
       FROM projections.devices d
       LEFT JOIN projections.device_states s ON s.device_id = d.device_id AND s.tenant = d.tenant
       WHERE d.tenant = $1 AND d.active GROUP BY d.type_id
     ) t ON true ORDER BY t.type_id`,
    [tenant],
  );
  const byType = rows.flatMap(({ type_id: typeId, devices, online }) =>
    typeId === null ? [] : [{ typeId, devices, online }],
  );
  return {
    seq: rows[0]?.seq ?? 0n,
    summary: {
      devices: byType.reduce((sum, { devices }) => sum + devices, 0),
      online: byType.reduce((sum, { online }) => sum + online, 0),
      byType,
    },
  };
}
