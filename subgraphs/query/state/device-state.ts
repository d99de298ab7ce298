/** State and presence of devices, as the projector last wrote them. */
import type { Change, LatestMetrics } from '../../../backbone/changes/change.js';
import type { Sql } from '../../../platform/database/sql.js';
import { readMetricNames } from '../metric-name.js';

/** What is known of a device; the types `DeviceState` and `Presence` of the graph are both made of it. */
export interface DeviceView {
  /** Null before the first change. */
  readonly state: {
    readonly version: number;
    readonly updatedAt: Date;
    readonly metrics: LatestMetrics;
  } | null;
  readonly presence: { readonly online: boolean; readonly lastSeen: Date | null };
}

export const unheardOf: DeviceView = { state: null, presence: { online: false, lastSeen: null } };

export interface DeviceStateRow {
  readonly device_id: string;
  readonly version: bigint;
  readonly updated_at: Date;
  readonly metrics: LatestMetrics;
  readonly online: boolean;
  readonly last_seen: Date | null;
}

/** The columns of `DeviceStateRow`, of projections.device_states as `s`. */
export const deviceStateColumns = 's.device_id, s.version, s.updated_at, s.metrics, s.online, s.last_seen';

export function viewOfRow(row: DeviceStateRow): DeviceView {
  // The projector makes rows with version 0 in the transaction that fills them; a reader never finds one otherwise.
  if (row.version === 0n) return unheardOf;
  return {
    state: { version: Number(row.version), updatedAt: row.updated_at, metrics: row.metrics },
    presence: { online: row.online, lastSeen: row.last_seen },
  };
}

export function viewOfChange({ payload: { state } }: Change<'device'>): DeviceView {
  return {
    state: { version: Number(state.version), updatedAt: new Date(state.updatedAt), metrics: state.metrics },
    presence: { online: state.online, lastSeen: state.lastSeen === null ? null : new Date(state.lastSeen) },
  };
}

/** The views of many devices of one tenant, in the order of the ids. */
export async function readDeviceViews(
  sql: Sql,
  tenant: string,
  deviceIds: readonly string[],
): Promise<readonly DeviceView[]> {
  const rows = await sql.query<DeviceStateRow>(
    `SELECT ${deviceStateColumns} FROM projections.device_states s WHERE s.tenant = $1 AND s.device_id = ANY($2::text[])`,
    [tenant, deviceIds],
  );
  const views = new Map(rows.map((row) => [row.device_id, viewOfRow(row)]));
  return deviceIds.map((id) => views.get(id) ?? unheardOf);
}

export interface MetricState {
  readonly name: string;
  readonly value: number | boolean | string;
  readonly at: Date;
}

/** The metrics by name, or those asked for in the order asked for. @throws FleetgraphError BAD_USER_INPUT for a name that can't be. */
export function metricStates(metrics: LatestMetrics, names?: readonly string[] | null): readonly MetricState[] {
  // Own properties only: a metric may be called `constructor`.
  const wanted = names ? readMetricNames(names, 'names') : Object.keys(metrics).sort();
  return wanted.flatMap((name) => {
    const latest = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
    return latest === undefined ? [] : [{ name, value: latest.value, at: new Date(latest.at) }];
  });
}
