/**
 * Rebuilds a projection beside the live one, in the schema `replay`, and switches over in one transaction; the states of devices one
 * by one (rebuild-states.ts).
 * Invariants: until that transaction commits, the live one is as if nobody had tried, whenever the process is killed; what is
 * written meanwhile is in the rebuilt one when it does. One replay at a time: a session lock, on the connection that does the
 * work, so that who has lost the lock can't switch. No transaction that writes is long: the relay publishes nothing that is
 * newer than the oldest one that writes.
 */
import pg from 'pg';
import { columnTypes } from '../../../platform/database/pool.js';
import { sqlOf, type Sql } from '../../../platform/database/sql.js';
import { codeOf, FleetgraphError } from '../../../platform/errors.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import { replayable, type Replay, type ReplayableProjection, type Replayed } from './rebuilding.js';
import { foldedProjections, rebuildFromEvents } from './rebuild-from-events.js';
import { rebuildRollups } from './rebuild-rollups.js';
import { rebuildStates } from './rebuild-states.js';

export interface ReplayOptions {
  readonly databaseUrl: string;
  /** One of `replayable`. */
  readonly projection: string;
  /**
   * Rollups: those of this hour and later are rebuilt, the others kept; default: as far as there are readings. States: metrics that
   * have had a reading since then; default: all. The others: what has
   * an event since then is rebuilt, of all of its events, and the rest kept; default: everything.
   */
  readonly from?: Date;
  readonly telemetryRetentionDays: number;
  /** Told about once for each page of what is read, with how many events or readings there were so far. */
  readonly onProgress?: (read: number) => void | Promise<void>;
}

/** Session lock of whoever replays. */
const runningLock = 72_707_405;

/** How long a lock on a live table is waited for at once, and how often. */
const lockTimeoutMs = 1_000;
const lockAttempts = 60;

/**
 * Rebuilds and switches over.
 * @throws FleetgraphError BAD_USER_INPUT for a projection that there is not, or a time that can't be; CONFLICT while another
 * replay runs. What else is thrown is the database's; the live projection is untouched then, and the same may be tried again.
 */
export async function replayProjection(options: ReplayOptions): Promise<Replayed> {
  const { projection, from } = options;
  if (!isReplayable(projection))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `There is no projection "${projection}" to rebuild. There are ${Object.keys(replayable).join(', ')}.`,
    );
  if (from !== undefined && !(from.getTime() <= Date.now()))
    throw new FleetgraphError('BAD_USER_INPUT', '--from must be a time in the past.');
  const [client, second] = [connection(options.databaseUrl), connection(options.databaseUrl)];
  try {
    await Promise.all([client.connect(), second.connect()]);
    const sql = sqlOf(client);
    if (!(await takeRunningLock(sql)))
      throw new FleetgraphError('CONFLICT', 'Another replay is running. Wait for its end, or stop it.');
    const transaction: Replay['transaction'] = async (work) => {
      await client.query('BEGIN');
      try {
        const result = await work(sql);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch(() => undefined);
        throw error;
      }
    };
    const replay: Replay = {
      sql,
      transaction,
      reader: sqlOf(second),
      from,
      patiently: (work) => patiently(() => transaction((inner) => withLockTimeout(inner, work))),
      progress: async (read) => options.onProgress?.(read),
    };
    await replay.patiently(removeLeftovers);
    const replayed =
      projection === 'states'
        ? await rebuildStates(replay)
        : projection === 'rollups'
          ? await rebuildRollups(replay, options.telemetryRetentionDays)
          : await rebuildFromEvents(replay, foldedProjections[projection]);
    await second.query('ROLLBACK');
    await replay.patiently(removeLeftovers);
    return replayed;
  } finally {
    await Promise.all([client.end().catch(() => undefined), second.end().catch(() => undefined)]);
  }
}

/** Removes what a replay that was killed has left. Does nothing while one is running. */
export async function removeAbandoned(sql: Sql): Promise<void> {
  const [left] = await sql.query(`SELECT 1 FROM pg_namespace WHERE nspname = 'replay'`);
  if (left === undefined || !(await takeRunningLock(sql))) return;
  try {
    await withLockTimeout(sql, removeLeftovers);
  } finally {
    await sql.query(`SELECT pg_advisory_unlock($1), set_config('lock_timeout', '0', false)`, [runningLock]);
  }
}

async function takeRunningLock(sql: Sql): Promise<boolean> {
  const [lock] = await sql.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [runningLock]);
  return lock?.taken === true;
}

/** Takes the triggers with it that note what is written meanwhile. */
async function removeLeftovers(sql: Sql): Promise<void> {
  await sql.query('DROP SCHEMA IF EXISTS replay CASCADE');
}

async function withLockTimeout<T>(sql: Sql, work: (sql: Sql) => Promise<T>): Promise<T> {
  await sql.query(`SELECT set_config('lock_timeout', $1, false)`, [`${lockTimeoutMs}ms`]);
  return work(sql);
}

async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1)
    try {
      return await work();
    } catch (error) {
      // lock_not_available, deadlock_detected
      if (attempt >= lockAttempts || !['55P03', '40P01'].includes(String(codeOf(error)))) throw error;
      await pause(backoffMs(attempt, 50, 2_000));
    }
}

/** A connection that is lost says so by an event, which ends the process if nobody listens; the next statement fails then. */
function connection(databaseUrl: string): pg.Client {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: 'fleetgraph-replay',
    keepAlive: true,
    types: columnTypes,
  });
  client.on('error', () => undefined);
  return client;
}

function isReplayable(name: string): name is ReplayableProjection {
  return Object.hasOwn(replayable, name);
}
