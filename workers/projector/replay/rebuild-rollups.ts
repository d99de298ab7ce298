/**
 * The rollups of minutes and hours, added up again from the readings.
 * While writers wait a moment, a trigger is set that keeps a copy of each reading that is stored from then on, and a snapshot is
 * opened that has exactly those from before. The snapshot is added up; then the copies, until few are left; the last of them while
 * writers wait again. Rollups from before `from` are taken over as they are in the snapshot.
 */
import {
  horizon,
  microsOf,
  microsSql,
  timestampSql,
  toMicros,
  type EpochMicros,
} from '../../../backbone/changes/time-series.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { MetricValue, StoredReading } from '../telemetry/fold-readings.js';
import { addToRollups } from '../telemetry/store-readings.js';
import type { Replay, Replayed } from './rebuilding.js';
import { createShadows, switchOver } from './shadow-table.js';

const tables = ['rollups_1m', 'rollups_1h'] as const;
const pageSize = 5_000;

interface ReadingRow {
  readonly device_id: string;
  readonly metric: string;
  readonly at: EpochMicros;
  readonly tenant: string;
  readonly number: number | null;
  readonly other: boolean | string | null;
}

/** Adds up, switches over. @throws FleetgraphError BAD_USER_INPUT when `from` is before the oldest readings that are kept. */
export async function rebuildRollups(replay: Replay, retentionDays: number): Promise<Replayed> {
  const oldest = Math.ceil(horizon(toMicros(Date.now()), retentionDays) / microsOf.hour) * microsOf.hour;
  const from =
    replay.from === undefined ? oldest : Math.floor(toMicros(replay.from.getTime()) / microsOf.hour) * microsOf.hour;
  if (from < oldest)
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `Readings are kept for ${retentionDays} days: rollups can be rebuilt from ${new Date(oldest / 1_000).toISOString()} on, not before.`,
    );
  await replay.patiently(async (sql) => {
    await createShadows(sql, tables);
    await keepCopies(sql);
    // Under the lock that setting the trigger has taken: nobody is storing readings now.
    await replay.reader.query('ROLLBACK');
    await replay.reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await replay.reader.query('SELECT 1 FROM projections.readings LIMIT 1');
  });
  for (const table of tables) await takeOver(replay, table, from);
  let read = 0;
  for (const partition of await partitionsOf(replay.reader))
    for await (const page of readingsOf(replay.reader, partition, from)) {
      await replay.transaction((sql) => addToRollups(sql, page, 'replay'));
      read += page.length;
      await replay.progress(read);
    }
  await replay.reader.query('COMMIT');
  for (let added = pageSize; added >= pageSize; read += added) {
    added = await replay.transaction(addCopies);
    await replay.progress(read);
  }
  for (const table of tables) await replay.sql.query(`ANALYZE replay.${table}`);
  const last = await replay.patiently(async (sql) => {
    await sql.query('LOCK TABLE projections.readings IN SHARE ROW EXCLUSIVE MODE');
    let count = 0;
    for (let added = pageSize; added >= pageSize; count += added) added = await addCopies(sql);
    await sql.query(`LOCK TABLE ${tables.map((table) => `projections.${table}`).join(', ')} IN ACCESS EXCLUSIVE MODE`);
    await switchOver(sql, tables);
    return count;
  });
  return { read: read + last };
}

async function keepCopies(sql: Sql): Promise<void> {
  await sql.query(
    `CREATE TABLE replay.stored (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, LIKE projections.readings)`,
  );
  await sql.query(
    `CREATE FUNCTION replay.keep_stored() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       INSERT INTO replay.stored (device_id, metric, at, tenant, number, other)
       SELECT device_id, metric, at, tenant, number, other FROM fresh;
       RETURN NULL;
     END $$`,
  );
  await sql.query(
    `CREATE TRIGGER replay_stored AFTER INSERT ON projections.readings
     REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION replay.keep_stored()`,
  );
}

/** Adds a page of copies and forgets it, in one transaction. @returns how many there were. */
async function addCopies(sql: Sql): Promise<number> {
  const rows = await sql.query<ReadingRow>(
    `DELETE FROM replay.stored WHERE id IN (SELECT id FROM replay.stored ORDER BY id LIMIT $1)
     RETURNING device_id, metric, ${microsSql('at')} AS at, tenant, number, other`,
    [pageSize],
  );
  const readings = rows.map(toReading).sort((a, b) => a.atMicros - b.atMicros);
  await addToRollups(sql, readings, 'replay');
  return rows.length;
}

/** Copies what is older than `from` out of the snapshot, page by page. */
async function takeOver(replay: Replay, table: (typeof tables)[number], from: EpochMicros): Promise<void> {
  let behind: readonly [string, string, EpochMicros] = ['', '', 0];
  for (;;) {
    const [page] = await replay.reader.query<{ rows: string | null; last: string | null }>(
      `SELECT json_agg(r)::text AS rows, (array_agg(json_build_array(r.device_id, r.metric, ${microsSql('r.bucket')})::text
              ORDER BY r.device_id DESC, r.metric DESC, r.bucket DESC))[1] AS last
       FROM (SELECT * FROM projections.${table}
             WHERE (device_id, metric, bucket) > ($1, $2, ${timestampSql('$3')}) AND bucket < ${timestampSql('$4')}
             ORDER BY device_id, metric, bucket LIMIT $5) r`,
      [...behind, from, pageSize],
    );
    if (page?.rows == null || page.last === null) return;
    await replay.sql.query(
      `INSERT INTO replay.${table} SELECT * FROM json_populate_recordset(NULL::replay.${table}, $1::json)`,
      [page.rows],
    );
    behind = JSON.parse(page.last) as [string, string, EpochMicros];
  }
}

async function partitionsOf(sql: Sql): Promise<readonly string[]> {
  const rows = await sql.query<{ name: string }>(
    `SELECT c.oid::regclass::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'projections.readings'::regclass ORDER BY c.relname`,
  );
  return rows.map(({ name }) => name);
}

async function* readingsOf(sql: Sql, partition: string, from: EpochMicros): AsyncGenerator<readonly StoredReading[]> {
  let behind: readonly [string, string, EpochMicros] = ['', '', 0];
  for (;;) {
    const rows = await sql.query<ReadingRow>(
      `SELECT device_id, metric, ${microsSql('at')} AS at, tenant, number, other FROM ${partition}
       WHERE (device_id, metric, at) > ($1, $2, ${timestampSql('$3')}) AND at >= ${timestampSql('$4')}
       ORDER BY device_id, metric, at LIMIT $5`,
      [...behind, from, pageSize],
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows.map(toReading);
    behind = [last.device_id, last.metric, last.at];
  }
}

function toReading({ device_id, metric, at, tenant, number, other }: ReadingRow): StoredReading {
  return { deviceId: device_id, metric, atMicros: at, tenant, value: (number ?? other) as MetricValue };
}
