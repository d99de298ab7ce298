/**
 * Applies prisma/migrations/*\/migration.sql without Prisma's engine, and keeps `_prisma_migrations` as the engine
 * would, so that `prisma migrate status` and `deploy` agree with it wherever the engine exists.
 * Invariant: under one advisory lock, each migration runs once, in the order of its name, in one transaction with the row
 * that says so. A process or a connection that ends in between leaves neither.
 */
import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { codeOf, messageOf, StartupError } from '../errors.js';
import { connectionSettings } from './connection-settings.js';
import { isTransientDatabaseError } from './transient.js';

const migrationsDirectory = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));

/** Prisma's own lock (MIGRATE_ADVISORY_LOCK), so that `prisma migrate deploy` and this never run at once. */
const advisoryLock = 72_707_369;

/** SQLSTATEs 55P03 and 57014 (PostgreSQL, appendix A). */
const lockNotAvailable = '55P03';
const queryCanceled = '57014';

/** Limits that a role or a database may have by default; older servers lack the last one. */
const serverLimits = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'transaction_timeout',
] as const;

interface Applied {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished_at: Date | null;
  readonly rolled_back_at: Date | null;
}

/**
 * Brings the database to the newest migration.
 * @param lockTimeoutMs how long another process may be at it before this one gives up for now.
 * @returns names of the migrations applied now, oldest first.
 * @throws StartupError when an applied migration was changed or a former one failed; a transient error
 * (`isTransientDatabaseError`) when the database is away or another process is still migrating it. A
 * migration that is interrupted (connection lost, canceled at the server) leaves nothing; the next start applies it.
 */
export async function migrate(
  url: string,
  directory: string = migrationsDirectory,
  lockTimeoutMs = 10_000,
): Promise<readonly string[]> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'fleetgraph-migrate',
    ...connectionSettings,
    // A migration has no time limit. The probes of the connection find a server that is gone.
    query_timeout: 0,
  });
  // The statement that runs reports a lost connection.
  client.on('error', () => undefined);
  await client.connect();
  try {
    await client.query("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY($1)", [serverLimits]);
    await lock(client, lockTimeoutMs);
    await client.query(`CREATE TABLE IF NOT EXISTS public._prisma_migrations (
      id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ,
      migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,
      started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)`);
    const applied = await client.query<Applied>(
      'SELECT migration_name, checksum, finished_at, rolled_back_at FROM public._prisma_migrations',
    );
    const done: string[] = [];
    for (const name of await migrationNames(directory)) {
      const script = await readFile(join(directory, name, 'migration.sql'), 'utf8');
      const checksum = createHash('sha256').update(script).digest('hex');
      const before = applied.rows.find((row) => row.migration_name === name && row.rolled_back_at === null);
      if (before === undefined) {
        await apply(client, name, script, checksum);
        done.push(name);
      } else if (before.finished_at === null) {
        throw new StartupError(
          `Migration ${name} failed before. Mend the database, then mark it with "prisma migrate resolve".`,
        );
      } else if (before.checksum !== checksum) {
        throw new StartupError(
          `Migration ${name} was changed after it had been applied. Restore the file and add a new migration instead.`,
        );
      }
    }
    return done;
  } finally {
    await client.end();
  }
}

/** Waits with a limit, so that whoever starts can say what it waits for. */
async function lock(client: pg.Client, timeoutMs: number): Promise<void> {
  await client.query("SELECT set_config('lock_timeout', $1, false)", [String(timeoutMs)]);
  try {
    await client.query('SELECT pg_advisory_lock($1)', [advisoryLock]);
  } catch (error) {
    if (codeOf(error) !== lockNotAvailable) throw error;
    throw new Error('another process is migrating it', { cause: error });
  }
  // Not RESET: that would bring back the limit that the role or the database has by default.
  await client.query('SET lock_timeout = 0');
}

async function migrationNames(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

async function apply(client: pg.Client, name: string, script: string, checksum: string): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(script);
    await client.query(
      `INSERT INTO public._prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
       VALUES ($1, $2, $3, clock_timestamp(), 1)`,
      [randomUUID(), checksum, name],
    );
    await client.query('COMMIT');
  } catch (error) {
    // The script is not at fault, and has left nothing: a later start applies it.
    if (isTransientDatabaseError(error)) throw error;
    await client.query('ROLLBACK');
    if (codeOf(error) === queryCanceled)
      throw new StartupError(
        `Migration ${name} was canceled at the server; nothing of it was applied. Start again to apply it.`,
        { cause: error },
      );
    await client.query(
      'INSERT INTO public._prisma_migrations (id, checksum, migration_name, logs) VALUES ($1, $2, $3, $4)',
      [randomUUID(), checksum, name, messageOf(error)],
    );
    throw new StartupError(`Migration ${name} failed: ${messageOf(error)}.`, { cause: error });
  }
}
