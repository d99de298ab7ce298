/** What the subscription `alerts` selects by, which no event of an alert says: the type and the labels of its device. */
import type { Sql } from '../../../platform/database/sql.js';
import type { PendingChange } from '../change-log.js';

/** The changes, those of alerts with their devices as the registry has them in this transaction. */
export async function withDevices(sql: Sql, changes: readonly PendingChange[]): Promise<readonly PendingChange[]> {
  const wanted = new Set(changes.flatMap((change) => (change.entity === 'alert' ? [change.payload.deviceId] : [])));
  if (wanted.size === 0) return changes;
  const rows = await sql.query<{
    tenant: string;
    device_id: string;
    type_id: string;
    labels: Readonly<Record<string, string>>;
  }>('SELECT tenant, device_id, type_id, labels FROM projections.devices WHERE device_id = ANY($1::text[])', [
    [...wanted],
  ]);
  const devices = new Map(rows.map((row) => [row.device_id, row]));
  return changes.map((change) => {
    if (change.entity !== 'alert') return change;
    const found = devices.get(change.payload.deviceId);
    if (found?.tenant !== change.tenant) return change;
    return { ...change, payload: { ...change.payload, device: { typeId: found.type_id, labels: found.labels } } };
  });
}
