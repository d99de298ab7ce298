/** The device directory in process: whom the bridge asks about credentials and devices. One indexed statement each. */
import type { DeviceDirectory, DeviceProfile, DirectoryTwin } from '../../../backbone/devices/device-directory.js';
import type { MetricDefinition } from '../../../backbone/events/catalogue.js';
import type { Sql } from '../../../platform/database/sql.js';
import { isStorableText } from '../../../platform/database/storable.js';
import { passwordMatches } from './secret.js';

interface ProfileRow {
  readonly tenant: string;
  readonly id: string;
  readonly type_id: string;
  readonly active: boolean;
  readonly decoder: string;
  readonly metrics: readonly MetricDefinition[];
  readonly password_hash?: string;
}

const profileColumns = `d.tenant, d.id, d.type_id, d.status = 'ACTIVE' AS active, t.decoder, t.metrics`;

export function createDirectory(sql: Sql): DeviceDirectory {
  return {
    async authenticate({ clientId, username, password }) {
      if (![clientId, username].every(isStorableText)) return undefined;
      const [row] = await sql.query<ProfileRow>(
        `SELECT ${profileColumns}, c.password_hash
         FROM device.credentials c JOIN device.devices d ON d.id = c.device_id
         JOIN device.device_types t ON t.tenant = d.tenant AND t.id = d.type_id
         WHERE c.client_id = $1 AND c.username = $2 AND c.revoked_at IS NULL AND d.status = 'ACTIVE'`,
        [clientId, username],
      );
      return row?.password_hash !== undefined && passwordMatches(password, row.password_hash)
        ? profileOf(row)
        : undefined;
    },
    async find(tenant, deviceId) {
      if (![tenant, deviceId].every(isStorableText)) return undefined;
      const [row] = await sql.query<ProfileRow>(
        `SELECT ${profileColumns} FROM device.devices d JOIN device.device_types t ON t.tenant = d.tenant AND t.id = d.type_id
         WHERE d.tenant = $1 AND d.id = $2`,
        [tenant, deviceId],
      );
      return row && profileOf(row);
    },
    async findByClientId(clientId) {
      if (!isStorableText(clientId)) return undefined;
      const [row] = await sql.query<ProfileRow>(
        `SELECT ${profileColumns}
         FROM device.credentials c JOIN device.devices d ON d.id = c.device_id
         JOIN device.device_types t ON t.tenant = d.tenant AND t.id = d.type_id
         WHERE c.client_id = $1`,
        [clientId],
      );
      return row && profileOf(row);
    },
    async twin(tenant, deviceId) {
      if (![tenant, deviceId].every(isStorableText)) return undefined;
      const [row] = await sql.query<DirectoryTwin>(
        `SELECT desired, desired_version AS "desiredVersion", reported, revision FROM device.devices
         WHERE tenant = $1 AND id = $2 AND status = 'ACTIVE'`,
        [tenant, deviceId],
      );
      return row;
    },
  };
}

function profileOf(row: ProfileRow): DeviceProfile {
  return {
    tenant: row.tenant,
    deviceId: row.id,
    typeId: row.type_id,
    active: row.active,
    decoder: row.decoder,
    metrics: row.metrics,
  };
}
