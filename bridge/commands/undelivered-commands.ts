/** Commands on their way to devices, in PostgreSQL: a bridge that starts again sends what the one before it could not. */
import { inTransaction, sqlOf } from '../../platform/database/sql.js';
import type pg from 'pg';
import { decode, encode, type Event } from '../../backbone/events/envelope.js';

export type RequestedCommand = Event<'io.fleetgraph.command.requested.v1'>;

/** What happened to commands since the last time, in one step. */
export interface UndeliveredChange {
  readonly added: readonly RequestedCommand[];
  readonly endedCommandIds: readonly string[];
  /** Devices that take no commands any more. */
  readonly endedDeviceIds: readonly string[];
}

export interface UndeliveredCommands {
  /** Those that have not expired, oldest first. Forgets the others. */
  load(): Promise<readonly RequestedCommand[]>;
  /** Adds, then removes. Doing it again has no effect. */
  change(change: UndeliveredChange): Promise<void>;
}

export function createUndeliveredCommands(pool: pg.Pool): UndeliveredCommands {
  return {
    async load() {
      const sql = sqlOf(pool);
      await sql.query('DELETE FROM bridge.undelivered_commands WHERE expires_at <= now()');
      const rows = await sql.query<{ headers: Record<string, string>; value: string }>(
        'SELECT headers, value FROM bridge.undelivered_commands ORDER BY position',
      );
      return rows.map((row) => {
        const event = decode(row);
        if (event.type !== 'io.fleetgraph.command.requested.v1')
          throw new Error(`An event ${event.type} is among the undelivered commands.`);
        return event;
      });
    },
    async change({ added, endedCommandIds, endedDeviceIds }) {
      if (added.length + endedCommandIds.length + endedDeviceIds.length === 0) return;
      const rows = added.map((event) => ({
        command_id: event.data.commandId,
        device_id: event.data.deviceId,
        headers: encode(event).headers,
        value: encode(event).value,
        expires_at: event.data.expiresAt,
      }));
      await inTransaction(pool, async (sql) => {
        if (rows.length > 0)
          await sql.query(
            `INSERT INTO bridge.undelivered_commands (command_id, device_id, headers, value, expires_at)
             SELECT command_id, device_id, headers, value, expires_at
             FROM jsonb_to_recordset($1::jsonb) AS r(command_id text, device_id text, headers jsonb, value text, expires_at timestamptz)
             ON CONFLICT DO NOTHING`,
            [JSON.stringify(rows)],
          );
        await sql.query(
          'DELETE FROM bridge.undelivered_commands WHERE command_id = ANY($1::text[]) OR device_id = ANY($2::text[])',
          [endedCommandIds, endedDeviceIds],
        );
      });
    },
  };
}
