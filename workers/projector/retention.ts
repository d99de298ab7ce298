/**
 * Removes what is older than it is kept: partitions of readings, rollups of minutes, the change log; and what a replay left that
 * was killed. The event log and
 * the rollups of hours stay for good.
 * One projector at a time does it, whoever gets the advisory lock; each step is small, so that it never holds writers up.
 */
import type pg from 'pg';
import { horizon, microsOf, minuteRetentionDays, timestampSql, toMicros } from '../../backbone/changes/time-series.js';
import { sqlOf, type Sql } from '../../platform/database/sql.js';
import { pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import { removeAbandoned } from './replay/replay.js';
import { dropPartitionsBefore } from './telemetry/reading-partitions.js';

export interface RetentionOptions {
  readonly pool: pg.Pool;
  readonly log: Logger;
  readonly telemetryRetentionDays: number;
  readonly changesRetentionMs: number;
}

/** Session-level advisory lock of the one who cleans up. */
const retentionLock = 72_707_403;

/** Most rows that one statement deletes. */
const chunk = 5_000;

/** Days are dropped this late, for clocks of projectors that are behind. */
const clockSlack = microsOf.hour;

/** Runs a round now and every `intervalMs`, until the signal is aborted. Never rejects: what fails is tried again in the next round. */
export async function keepRetention(options: RetentionOptions, intervalMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await removeExpired(options, Date.now(), signal);
    } catch (error) {
      options.log.warn({ err: error }, 'expired data could not be removed; trying again in the next round');
    }
    await pause(intervalMs, signal);
  }
}

/** One round, as of `nowMs`. @returns whether this process had the lock and did it. */
export async function removeExpired(options: RetentionOptions, nowMs: number, signal: AbortSignal): Promise<boolean> {
  const { pool, log } = options;
  const client = await pool.connect();
  let broken = true;
  try {
    const sql = sqlOf(client);
    const [lock] = await sql.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [retentionLock]);
    if (lock?.taken !== true) {
      broken = false;
      return false;
    }
    const now = toMicros(nowMs) - clockSlack;
    const dropped = await dropPartitionsBefore(pool, horizon(now, options.telemetryRetentionDays), 2_000);
    if (dropped.length > 0) log.info({ partitions: dropped }, 'readings beyond the retention were dropped');
    await inChunks(signal, () => deleteMinutes(sql, horizon(now, minuteRetentionDays(options.telemetryRetentionDays))));
    await inChunks(signal, () => deleteChanges(sql, new Date(nowMs - options.changesRetentionMs)));
    await removeAbandoned(sql);
    await sql.query('SELECT pg_advisory_unlock($1)', [retentionLock]);
    broken = false;
    return true;
  } finally {
    // A connection that may still hold the lock is closed, which lets go of it.
    client.release(broken);
  }
}

async function inChunks(signal: AbortSignal, deleteSome: () => Promise<number>): Promise<void> {
  while (!signal.aborted && (await deleteSome()) >= chunk);
}

async function deleteMinutes(sql: Sql, oldest: number): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM projections.rollups_1m WHERE (device_id, metric, bucket) IN (
       SELECT device_id, metric, bucket FROM projections.rollups_1m WHERE bucket < ${timestampSql('$1')}
       ORDER BY bucket LIMIT $2) RETURNING 1`,
    [oldest, chunk],
  );
  return rows.length;
}

/** Deletes from the oldest on and never in the middle of a tenant's log: a reader must be able to trust that what is behind the oldest is whole. */
async function deleteChanges(sql: Sql, oldest: Date): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM projections.changes c USING (
       SELECT tenant, max(seq) AS seq FROM (
         SELECT tenant, seq FROM projections.changes WHERE at < $1 ORDER BY at LIMIT $2) expired GROUP BY tenant) upto
     WHERE c.tenant = upto.tenant AND c.seq <= upto.seq RETURNING 1`,
    [oldest, chunk],
  );
  return rows.length;
}
