import { readFile } from 'node:fs/promises';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectionSettings } from '../../platform/database/connection-settings.js';
import { migrate } from '../../platform/database/migrate.js';
import { isTransientDatabaseError } from '../../platform/database/transient.js';
import { messageOf, StartupError } from '../../platform/errors.js';
import { migrationTroubles, missingSql } from '../../prisma/schema-engine.js';
import { createDatabase, type TestDatabase } from '../world/database.js';
import { eventually } from '../world/eventually.js';

let database: TestDatabase;
let directory: string;
beforeAll(async () => {
  database = await createDatabase();
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-migrations-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

async function writeMigration(name: string, script: string): Promise<void> {
  await mkdir(join(directory, name), { recursive: true });
  await writeFile(join(directory, name, 'migration.sql'), script);
}

test('applies nothing to a database that is up to date', async () => {
  expect(await migrate(database.url)).toEqual([]);
});

test('the migrations make what schema.prisma says', async () => {
  expect(await missingSql(database.url)).toBeUndefined();
});

test('a column that only schema.prisma has is found', async () => {
  const schema = await readFile('prisma/schema.prisma', 'utf8');
  const changed = schema.replace('model BusTopic {', 'model BusTopic {\n  surplus String?');
  expect(await missingSql(database.url, changed)).toContain('ADD COLUMN     "surplus" TEXT');
});

test('what the program applied is what "prisma migrate status" calls up to date', async () => {
  expect(await migrationTroubles(database.url)).toEqual([]);
});

test('applies a new migration once, also when several processes start at the same time', async () => {
  await using fresh = await createDatabase();
  await fresh.pool.query('DROP TABLE public._prisma_migrations');
  await writeMigration('1_first', 'CREATE TABLE public.once (id int); INSERT INTO public.once VALUES (1);');
  const applied = await Promise.all([
    migrate(fresh.url, directory),
    migrate(fresh.url, directory),
    migrate(fresh.url, directory),
  ]);
  expect(applied.flat()).toEqual(['1_first']);
  expect((await fresh.pool.query('SELECT * FROM public.once')).rows).toEqual([{ id: 1 }]);
});

test('does not wait for ever for another that migrates, and says what it waits for', async () => {
  await using fresh = await createDatabase();
  const other = await fresh.pool.connect();
  try {
    await other.query('SELECT pg_advisory_lock(72707369)');
    const refused: unknown = await migrate(fresh.url, directory, 50).catch((error: unknown) => error);
    expect(messageOf(refused)).toBe('another process is migrating it');
    expect(isTransientDatabaseError(refused)).toBe(true);
    const waiting = migrate(fresh.url);
    await other.query('SELECT pg_advisory_unlock(72707369)');
    expect(await waiting).toEqual([]);
  } finally {
    other.release();
  }
});

test('refuses to go on when an applied migration was changed', async () => {
  await using fresh = await createDatabase();
  await fresh.pool.query('DROP TABLE public._prisma_migrations');
  await writeMigration('1_first', 'CREATE TABLE public.before (id int);');
  await migrate(fresh.url, directory);
  await writeMigration('1_first', 'CREATE TABLE public.after (id int);');
  await expect(migrate(fresh.url, directory)).rejects.toThrow(
    'Migration 1_first was changed after it had been applied',
  );
});

test('a migration that fails leaves nothing of itself and stops every later start', async () => {
  await using fresh = await createDatabase();
  await fresh.pool.query('DROP TABLE public._prisma_migrations');
  await writeMigration('1_first', 'CREATE TABLE public.half (id int); SELECT no_such_function();');
  await expect(migrate(fresh.url, directory)).rejects.toThrow('no_such_function');
  expect((await fresh.pool.query(`SELECT to_regclass('public.half') AS found`)).rows).toEqual([{ found: null }]);
  await expect(migrate(fresh.url, directory)).rejects.toThrow('Migration 1_first failed before');
});

test('a migration takes as long as it takes', { timeout: 90_000 }, async () => {
  await using fresh = await createDatabase();
  await fresh.pool.query('DROP TABLE public._prisma_migrations');
  const seconds = connectionSettings.query_timeout / 1_000 + 1;
  await writeMigration('1_first', `CREATE TABLE public.slow (id int); SELECT pg_sleep(${seconds});`);
  expect(await migrate(fresh.url, directory)).toEqual(['1_first']);
  expect(await migrate(fresh.url, directory)).toEqual([]);
});

test('a migration whose connection breaks is applied by the next start', async () => {
  await using fresh = await createDatabase();
  await fresh.pool.query('DROP TABLE public._prisma_migrations');
  await writeMigration('1_first', 'CREATE TABLE public.cut (id int); SELECT pg_sleep(60);');
  const cut = migrate(fresh.url, directory).catch((error: unknown) => error);
  await eventually(async () => {
    const { rows } = await fresh.pool.query<{ ended: boolean }>(
      `SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'`,
    );
    expect(rows).toEqual([{ ended: true }]);
  });
  expect(isTransientDatabaseError(await cut)).toBe(true);
  await writeMigration('1_first', 'CREATE TABLE public.cut (id int);');
  expect(await migrate(fresh.url, directory)).toEqual(['1_first']);
});

test.each(['statement_timeout', 'lock_timeout', 'transaction_timeout'])(
  'a %s that the server sets by default does not end a migration',
  async (setting) => {
    await using fresh = await createDatabase();
    await fresh.pool.query('DROP TABLE public._prisma_migrations');
    await fresh.pool.query('CREATE TABLE public.busy (id int)');
    await writeMigration('1_first', 'ALTER TABLE public.busy ADD COLUMN more int; SELECT pg_sleep(0.5);');
    const other = await fresh.pool.connect();
    try {
      await other.query(
        `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET ${setting} = ''200ms''', current_database()); END $$`,
      );
      await other.query('BEGIN; LOCK TABLE public.busy');
      const [applied] = await Promise.all([migrate(fresh.url, directory), other.query('SELECT pg_sleep(0.5); COMMIT')]);
      expect(applied).toEqual(['1_first']);
    } finally {
      other.release();
    }
    expect(await migrate(fresh.url, directory)).toEqual([]);
  },
);

test('a migration that an administrator cancels stops this start, and is applied by the next one', async () => {
  await using fresh = await createDatabase();
  await fresh.pool.query('DROP TABLE public._prisma_migrations');
  await writeMigration('1_first', 'CREATE TABLE public.canceled (id int); SELECT pg_sleep(60);');
  const canceled = migrate(fresh.url, directory).catch((error: unknown) => error);
  await eventually(async () => {
    const { rows } = await fresh.pool.query<{ canceled: boolean }>(
      `SELECT pg_cancel_backend(pid) AS canceled FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'`,
    );
    expect(rows).toEqual([{ canceled: true }]);
  });
  const error = await canceled;
  expect(error).toBeInstanceOf(StartupError);
  expect(messageOf(error)).toBe(
    'Migration 1_first was canceled at the server; nothing of it was applied. Start again to apply it.',
  );
  await writeMigration('1_first', 'CREATE TABLE public.canceled (id int);');
  expect(await migrate(fresh.url, directory)).toEqual(['1_first']);
});
