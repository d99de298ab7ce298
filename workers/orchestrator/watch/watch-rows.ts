/** The SQL of `orchestrator.watches` and `orchestrator.devices`. */
import type { RuleState } from '../../../backbone/rules/evaluate.js';
import type { WatchedDevice } from '../../../backbone/rules/watch-device.js';
import type { Sql } from '../../../platform/database/sql.js';

export interface WatchKey {
  readonly tenant: string;
  readonly deviceId: string;
}

/** A locked row. */
export interface Watch extends WatchKey {
  readonly device: WatchedDevice;
  /** Revision of the stream `device-rules-{id}`. */
  readonly revision: number;
}

interface Row extends WatchKey {
  readonly clock: number;
  readonly heardAt: number | null;
  readonly metrics: WatchedDevice['metrics'];
  readonly online: boolean | null;
  readonly presenceSession: number;
  readonly presenceAt: number;
  readonly rules: Readonly<Record<string, RuleState>>;
  readonly dueAt: Date | null;
  readonly revision: number;
}

const columns = `tenant, device_id AS "deviceId", clock, heard_at AS "heardAt", metrics, online,
  presence_session AS "presenceSession", presence_at AS "presenceAt", rules, due_at AS "dueAt", revision`;

function watchOf(row: Row): Watch {
  const { tenant, deviceId, clock, heardAt, metrics, online, rules, dueAt, revision } = row;
  return {
    tenant,
    deviceId,
    revision,
    device: {
      clock,
      metrics,
      rules,
      ...(heardAt === null ? {} : { heardAt }),
      ...(online === null ? {} : { presence: { online, session: row.presenceSession, at: row.presenceAt } }),
      ...(dueAt === null ? {} : { dueAt: dueAt.getTime() }),
    },
  };
}

/**
 * Locks the rows of the devices in the order of their ids, making those that are missing. A row that belongs to another tenant is
 * not returned: nobody may make a rule of theirs hear of a device by naming its id.
 */
export async function lockWatches(sql: Sql, keys: readonly WatchKey[]): Promise<readonly Watch[]> {
  const tenantOf = new Map(keys.map(({ tenant, deviceId }) => [deviceId, tenant]));
  const ids = [...tenantOf.keys()];
  let rows = await lock(sql, ids);
  if (rows.length < ids.length) {
    const found = new Set(rows.map(({ deviceId }) => deviceId));
    const missing = ids.filter((id) => !found.has(id));
    await sql.query(
      `INSERT INTO orchestrator.watches (device_id, tenant)
       SELECT n.id, n.tenant FROM unnest($1::text[], $2::text[]) AS n(id, tenant) ORDER BY n.id ON CONFLICT DO NOTHING`,
      [missing, missing.map((id) => tenantOf.get(id))],
    );
    rows = [...rows, ...(await lock(sql, missing))];
  }
  return rows.filter(({ deviceId, tenant }) => tenantOf.get(deviceId) === tenant).map(watchOf);
}

function lock(sql: Sql, ids: readonly string[]): Promise<Row[]> {
  return sql.query<Row>(
    `SELECT ${columns} FROM orchestrator.watches WHERE device_id = ANY($1::text[]) ORDER BY device_id FOR UPDATE`,
    [ids],
  );
}

/** Locks up to `limit` rows that are due; those that somebody else has locked are left to them. */
export async function lockDueWatches(sql: Sql, now: Date, limit: number): Promise<readonly Watch[]> {
  const rows = await sql.query<Row>(
    `SELECT ${columns} FROM orchestrator.watches WHERE due_at <= $1::timestamptz ORDER BY due_at LIMIT $2::int FOR UPDATE SKIP LOCKED`,
    [now, limit],
  );
  return rows.map(watchOf);
}

/** When the next device is due. */
export async function nextDueTime(sql: Sql): Promise<Date | undefined> {
  const [row] = await sql.query<{ due: Date | null }>('SELECT min(due_at) AS due FROM orchestrator.watches');
  return row?.due ?? undefined;
}

/** Writes rows that the transaction has locked. */
export async function saveWatches(sql: Sql, watches: readonly Watch[]): Promise<void> {
  if (watches.length === 0) return;
  await sql.query(
    `UPDATE orchestrator.watches w SET clock = n.clock, heard_at = n."heardAt", metrics = n.metrics, online = n.online,
       presence_session = n."presenceSession", presence_at = n."presenceAt", rules = n.rules,
       due_at = to_timestamp(n."dueAt" / 1000), revision = n.revision
     FROM jsonb_to_recordset($1::jsonb) AS n("deviceId" text, clock float8, "heardAt" float8, metrics jsonb, online boolean,
       "presenceSession" float8, "presenceAt" float8, rules jsonb, "dueAt" float8, revision int)
     WHERE w.device_id = n."deviceId"`,
    [
      JSON.stringify(
        watches.map(({ deviceId, revision, device }) => ({
          deviceId,
          revision,
          clock: device.clock,
          heardAt: device.heardAt,
          metrics: device.metrics,
          online: device.presence?.online,
          presenceSession: device.presence?.session ?? 0,
          presenceAt: device.presence?.at ?? 0,
          rules: device.rules,
          dueAt: device.dueAt,
        })),
      ),
    ],
  );
}

/** Devices of the tenant for which the rule remembers something, in the order of their ids, behind `behind`. */
export async function devicesWithState(
  sql: Sql,
  rule: { readonly tenant: string; readonly id: string },
  behind: string,
  limit: number,
): Promise<readonly WatchKey[]> {
  return sql.query<WatchKey>(
    `SELECT tenant, device_id AS "deviceId" FROM orchestrator.watches
     WHERE tenant = $1::text AND device_id > $2::text AND rules ? $3::text ORDER BY device_id LIMIT $4::int`,
    [rule.tenant, behind, rule.id, limit],
  );
}

/** Devices that are online in a session before this one, of any tenant, in the order of their ids, behind `behind`. */
export async function onlineBefore(
  sql: Sql,
  session: number,
  behind: string,
  limit: number,
): Promise<readonly WatchKey[]> {
  return sql.query<WatchKey>(
    `SELECT tenant, device_id AS "deviceId" FROM orchestrator.watches
     WHERE device_id > $1::text AND online AND presence_session < $2::float8 ORDER BY device_id LIMIT $3::int`,
    [behind, session, limit],
  );
}

export interface RegisteredDevice {
  readonly id: string;
  readonly tenant: string;
  readonly typeId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly active: boolean;
}

/** Those of the devices that are known, by id. */
export async function findDevices(sql: Sql, ids: readonly string[]): Promise<ReadonlyMap<string, RegisteredDevice>> {
  const rows = await sql.query<RegisteredDevice>(
    'SELECT id, tenant, type_id AS "typeId", labels, active FROM orchestrator.devices WHERE id = ANY($1::text[])',
    [ids],
  );
  return new Map(rows.map((row) => [row.id, row]));
}
