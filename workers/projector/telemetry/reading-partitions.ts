/**
 * The partitions of projections.readings: one a UTC day, named `readings_YYYYMMDD`, made when the first reading of a day comes.
 * Made by CREATE and ATTACH, which (unlike CREATE … PARTITION OF) lets others read and write the table meanwhile, in a
 * transaction of its own under an advisory lock, so that projectors don't make one twice and no batch holds its lock.
 */
import type pg from 'pg';
import { microsOf, timestampSql, type EpochMicros } from '../../../backbone/changes/time-series.js';
import { inTransaction, type Sql } from '../../../platform/database/sql.js';

/** Advisory lock of whoever changes the set of partitions. */
const partitionLock = 72_707_401;

export interface ReadingPartitions {
  /** Resolves when each of the days (microseconds of their start) has a partition. Costs nothing for days seen before. */
  ensure(days: Iterable<EpochMicros>): Promise<void>;
  /** Forgets what is there: the table was changed by someone else. */
  forget(): void;
}

export function createReadingPartitions(options: { readonly pool: pg.Pool }): ReadingPartitions {
  const present = new Set<EpochMicros>();
  return {
    async ensure(days) {
      const missing = [...days].filter((day) => !present.has(day)).sort((a, b) => a - b);
      if (missing.length === 0) return;
      await inTransaction(options.pool, async (sql) => {
        await sql.query('SELECT pg_advisory_xact_lock($1)', [partitionLock]);
        for (const day of missing) await createPartition(sql, day);
      });
      for (const day of missing) present.add(day);
    },
    forget: () => present.clear(),
  };
}

async function createPartition(sql: Sql, day: EpochMicros): Promise<void> {
  const name = partitionName(day);
  const [existing] = await sql.query(
    `SELECT 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'projections.readings'::regclass AND c.relname = $1`,
    [name],
  );
  if (existing !== undefined) return;
  // DDL takes no parameters; name and bounds are made of digits only.
  await sql.query(`CREATE TABLE projections.${name} (LIKE projections.readings INCLUDING ALL)`);
  const bounds = await sql.query<{ from: string; to: string }>(
    `SELECT ${timestampSql('$1')}::text AS from, ${timestampSql('$2')}::text AS to`,
    [day, day + microsOf.day],
  );
  for (const { from, to } of bounds)
    await sql.query(
      `ALTER TABLE projections.readings ATTACH PARTITION projections.${name} FOR VALUES FROM ('${from}') TO ('${to}')`,
    );
}

/** Name of the partition of a day. */
export function partitionName(day: EpochMicros): string {
  return `readings_${new Date(day / microsOf.millisecond).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

/**
 * Drops the partitions of days that ended before `oldest`.
 * Gives up after `lockTimeoutMs` rather than make writers queue behind it: the next round tries again.
 * @returns names of the partitions dropped.
 */
export async function dropPartitionsBefore(
  pool: pg.Pool,
  oldest: EpochMicros,
  lockTimeoutMs: number,
): Promise<readonly string[]> {
  const firstKept = partitionName(oldest);
  return inTransaction(pool, async (sql) => {
    await sql.query(`SELECT set_config('lock_timeout', $1, true), pg_advisory_xact_lock($2)`, [
      `${lockTimeoutMs}ms`,
      partitionLock,
    ]);
    const partitions = await sql.query<{ name: string }>(
      `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
       WHERE i.inhparent = 'projections.readings'::regclass AND c.relname ~ '^readings_[0-9]{8}$' AND c.relname < $1
       ORDER BY 1`,
      [firstKept],
    );
    for (const { name } of partitions) await sql.query(`DROP TABLE projections.${name}`);
    return partitions.map(({ name }) => name);
  });
}
