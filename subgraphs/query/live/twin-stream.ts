/** The subscription `deviceTwin`: what is desired of a device, what it reported, and what is left between them. */
import { emptyTwin, twinView, type TwinView } from '../../../backbone/devices/twin-delta.js';
import type { TwinChange } from '../../../backbone/changes/change.js';
import type { Sql } from '../../../platform/database/sql.js';
import type { JsonObject } from '../../../platform/database/storable.js';
import { requireDevice } from '../consistency/existence.js';
import { createConflatingChanges } from './pending-changes.js';
import { createStream, type LiveOptions, type Stream } from './stream.js';

/** Payload of `deviceTwin`. */
export interface DeviceTwinUpdate {
  readonly snapshot: boolean;
  readonly device: { readonly id: string };
  readonly twin: TwinView;
}

/** The twin of one device, then each change of it. */
export function deviceTwinStream(
  live: LiveOptions,
  tenant: string,
  { deviceId, since }: { readonly deviceId: string; readonly since?: string | null },
): Stream<DeviceTwinUpdate> {
  const device = { id: deviceId };
  const requireSubject = (): Promise<void> => requireDevice(live, tenant, deviceId, 'deviceId');
  return createStream<'twin', DeviceTwinUpdate>(live, {
    name: 'deviceTwin',
    tenant,
    since,
    entity: 'twin',
    id: deviceId,
    requireSubject,
    pending: createConflatingChanges,
    isState: true,
    tooOld: 'snapshot',
    payloadOf: ({ payload }) => ({ snapshot: false, device, twin: viewOf(payload) }),
    async snapshot() {
      let { twin, seq } = await readTwin(live.sql, tenant, deviceId);
      if (twin === undefined) {
        await requireSubject();
        ({ twin, seq } = await readTwin(live.sql, tenant, deviceId));
      }
      return { payloads: [{ snapshot: true, device, twin: twin ?? twinView(emptyTwin) }], seq };
    },
  });
}

function viewOf(change: TwinChange): TwinView {
  return twinView({
    desired: change.desired as JsonObject,
    desiredVersion: change.desiredVersion,
    reported: change.reported as JsonObject,
    reportedVersion: change.reportedVersion,
    desiredAt: change.desiredAt === null ? null : new Date(change.desiredAt),
    reportedAt: change.reportedAt === null ? null : new Date(change.reportedAt),
  });
}

async function readTwin(
  sql: Sql,
  tenant: string,
  deviceId: string,
): Promise<{ readonly twin: TwinView | undefined; readonly seq: bigint }> {
  // One statement, so that the twin and the clock are of one moment.
  const [row] = await sql.query<{ seq: bigint; document: TwinChange | null }>(
    `SELECT coalesce((SELECT seq FROM projections.change_clocks WHERE tenant = $1), 0) AS seq, t.document
     FROM (SELECT) one LEFT JOIN projections.device_twins t ON t.tenant = $1 AND t.device_id = $2`,
    [tenant, deviceId],
  );
  const document = row?.document ?? undefined;
  return { seq: row?.seq ?? 0n, twin: document && viewOf(document) };
}
