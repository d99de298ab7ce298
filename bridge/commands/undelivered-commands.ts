/** Commands on their way to devices, in PostgreSQL: a bridge that starts again sends what the one before it could not. */
import { inTransaction, sqlOf } from '../../platform/database/sql.js';
import type pg from 'pg';
import { decode, encode, type Event } from '../../backbone/events/envelope.js';

/** What asks for a command to be sent: the first time, or again. */
export type RequestedCommand = Event<'io.fleetgraph.command.requested.v1' | 'io.fleetgraph.command.retried.v1'>;

/** Number of the attempt that it asks for. */
export function attemptOf(command: RequestedCommand): number {
  return command.type === 'io.fleetgraph.command.retried.v1' ? command.data.attempt : 1;
}

/** What happened to commands since the last time, in one step. */
export interface UndeliveredChange {
  readonly added: readonly RequestedCommand[];
  readonly endedCommandIds: readonly string[];
  /** What devices have: this attempt, not one behind it. */
  readonly confirmed?: readonly { readonly commandId: string; readonly attempt: number }[];
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
        if (event.type !== 'io.fleetgraph.command.requested.v1' && event.type !== 'io.fleetgraph.command.retried.v1')
          throw new Error(`An event ${event.type} is among the undelivered commands.`);
        return event;
      });
    },
    async change({ added, endedCommandIds, endedDeviceIds, confirmed = [] }) {
      if (added.length + endedCommandIds.length + endedDeviceIds.length + confirmed.length === 0) return;
      const rows = added.map((event) => ({
        command_id: event.data.commandId,
        device_id: event.data.deviceId,
        headers: encode(event).headers,
        value: encode(event).value,
        expires_at: event.data.expiresAt,
        attempt: attemptOf(event),
      }));
      // A batch may ask for a command and ask for it again: of each, the last attempt.
      const last = [...new Map(rows.map((row) => [row.command_id, row])).values()];
      await inTransaction(pool, async (sql) => {
        if (rows.length > 0)
          await sql.query(
            `INSERT INTO bridge.undelivered_commands AS u (command_id, device_id, headers, value, expires_at, attempt)
             SELECT command_id, device_id, headers, value, expires_at, attempt
             FROM jsonb_to_recordset($1::jsonb)
               AS r(command_id text, device_id text, headers jsonb, value text, expires_at timestamptz, attempt int)
             ON CONFLICT (command_id) DO UPDATE SET headers = excluded.headers, value = excluded.value, attempt = excluded.attempt
             WHERE u.attempt < excluded.attempt`,
            [JSON.stringify(last)],
          );
        await sql.query(
          'DELETE FROM bridge.undelivered_commands WHERE command_id = ANY($1::text[]) OR device_id = ANY($2::text[])',
          [endedCommandIds, endedDeviceIds],
        );
        if (confirmed.length > 0)
          await sql.query(
            `DELETE FROM bridge.undelivered_commands WHERE (command_id, attempt) IN
               (SELECT r."commandId", r.attempt FROM jsonb_to_recordset($1::jsonb) AS r("commandId" text, attempt int))`,
            [JSON.stringify(confirmed)],
          );
      });
    },
  };
}
