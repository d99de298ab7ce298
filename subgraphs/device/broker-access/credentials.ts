/** Devices in service by what they connect with. One indexed statement each. */
import { createHash } from 'node:crypto';
import type { DeviceAddress } from '../../../backbone/devices/device-topics.js';
import type { Sql } from '../../../platform/database/sql.js';
import { isStorableText } from '../../../platform/database/storable.js';
import { passwordMatches } from '../credentials/secret.js';

export interface KnownDevice extends DeviceAddress {
  /** Changes with each rotation of the password. Tells nothing of it. */
  readonly credential: string;
}

export interface Credentials {
  /** The device with this client id, if it is in service. Rejects when the database is away. */
  find(clientId: string): Promise<(KnownDevice & { passwordIs(password: string): boolean }) | undefined>;
}

export function createCredentials(sql: Sql): Credentials {
  return {
    async find(clientId) {
      if (!isStorableText(clientId)) return undefined;
      const [row] = await sql.query<{ tenant: string; id: string; username: string; password_hash: string }>(
        `SELECT d.tenant, d.id, c.username, c.password_hash
         FROM device.credentials c JOIN device.devices d ON d.id = c.device_id
         WHERE c.client_id = $1 AND c.username = $1 AND c.revoked_at IS NULL AND d.status = 'ACTIVE'`,
        [clientId],
      );
      return (
        row && {
          tenant: row.tenant,
          deviceId: row.id,
          credential: createHash('sha256').update(row.password_hash).digest('base64url').slice(0, 22),
          passwordIs: (password) => passwordMatches(password, row.password_hash),
        }
      );
    },
  };
}
