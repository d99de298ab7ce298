/**
 * Rows of projections.device_states, which telemetry and presence both change.
 * Invariant: every writer locks the rows it will change at the start of its transaction, in the order of their id; so two
 * writers never wait for each other, and a row's version goes up by one with each change.
 */
import type { DeviceChange, LatestMetrics } from '../../backbone/changes/change.js';
import type { Sql } from '../../platform/database/sql.js';
import type { PendingChange } from './change-log.js';

/** A locked row, with what the registry says of the device. */
export interface DeviceStateRow {
  readonly tenant: string;
  readonly deviceId: string;
  readonly version: bigint;
  readonly metrics: LatestMetrics;
  readonly online: boolean;
  /** Epoch milliseconds of the connect that presence was heard from last; 0 before the first. */
  readonly session: number;
  readonly lastSeen: Date | null;
  readonly device: DeviceChange['device'];
}

interface Row {
  readonly tenant: string;
  readonly device_id: string;
  readonly version: bigint;
  readonly metrics: LatestMetrics;
  readonly online: boolean;
  readonly presence_session: bigint;
  readonly last_seen: Date | null;
  readonly type_id: string | null;
  readonly labels: Record<string, string> | null;
}

/**
 * Locks the rows of the devices, making those that are missing (with version 0, which no reader shows).
 * A row that belongs to another tenant is not returned: nobody may change a device by naming its id.
 */
export async function lockDeviceStates(
  sql: Sql,
  devices: readonly { readonly tenant: string; readonly deviceId: string }[],
): Promise<ReadonlyMap<string, DeviceStateRow>> {
  const tenantOf = new Map(devices.map(({ tenant, deviceId }) => [deviceId, tenant]));
  const ids = [...tenantOf.keys()];
  let rows = await lock(sql, ids);
  if (rows.length < ids.length) {
    const found = new Set(rows.map((row) => row.device_id));
    const missing = ids.filter((id) => !found.has(id));
    await sql.query(
      `INSERT INTO projections.device_states (device_id, tenant, version, updated_at)
       SELECT d.id, d.tenant, 0, now() FROM unnest($1::text[], $2::text[]) AS d(id, tenant) ORDER BY d.id
       ON CONFLICT (device_id) DO NOTHING`,
      [missing, missing.map((id) => tenantOf.get(id))],
    );
    rows = [...rows, ...(await lock(sql, missing))];
  }
  return new Map(
    rows
      .filter((row) => tenantOf.get(row.device_id) === row.tenant)
      .map((row) => [
        row.device_id,
        {
          tenant: row.tenant,
          deviceId: row.device_id,
          version: row.version,
          metrics: row.metrics,
          online: row.online,
          session: Number(row.presence_session),
          lastSeen: row.last_seen,
          device: row.type_id === null ? null : { typeId: row.type_id, labels: row.labels ?? {} },
        },
      ]),
  );
}

function lock(sql: Sql, ids: readonly string[]): Promise<Row[]> {
  return sql.query<Row>(
    `SELECT s.tenant, s.device_id, s.version, s.metrics, s.online, s.presence_session, s.last_seen, d.type_id, d.labels
     FROM projections.device_states s LEFT JOIN projections.devices d ON d.device_id = s.device_id AND d.tenant = s.tenant
     WHERE s.device_id = ANY($1::text[]) ORDER BY s.device_id FOR UPDATE OF s`,
    [ids],
  );
}

/** A row after a change, with what is worth telling subscribers. */
export interface ChangedDeviceState extends DeviceStateRow {
  readonly kind: DeviceChange['kind'];
  readonly readings: DeviceChange['readings'];
  readonly traceparent: string | undefined;
}

/** Writes rows that `lockDeviceStates` locked in this transaction, each with the next version. @returns their changes. */
export async function saveDeviceStates(
  sql: Sql,
  states: readonly ChangedDeviceState[],
): Promise<readonly PendingChange[]> {
  if (states.length === 0) return [];
  const updatedAt = new Date();
  await sql.query(
    `UPDATE projections.device_states s
     SET version = n.version, updated_at = $2, metrics = n.metrics, online = n.online, presence_session = n.session, last_seen = n.last_seen
     FROM unnest($1::text[], $3::bigint[], $4::jsonb[], $5::boolean[], $6::bigint[], $7::timestamptz[])
          AS n(id, version, metrics, online, session, last_seen)
     WHERE s.device_id = n.id`,
    [
      states.map(({ deviceId }) => deviceId),
      updatedAt,
      states.map(({ version }) => (version + 1n).toString()),
      states.map(({ metrics }) => JSON.stringify(metrics)),
      states.map(({ online }) => online),
      states.map(({ session }) => session),
      states.map(({ lastSeen }) => lastSeen),
    ],
  );
  return states.map((state) => ({
    tenant: state.tenant,
    entity: 'device',
    id: state.deviceId,
    version: state.version + 1n,
    traceparent: state.traceparent,
    payload: {
      kind: state.kind,
      device: state.device,
      state: {
        version: (state.version + 1n).toString(),
        updatedAt: updatedAt.toISOString(),
        metrics: state.metrics,
        online: state.online,
        lastSeen: state.lastSeen?.toISOString() ?? null,
      },
      readings: state.readings,
    },
  }));
}
