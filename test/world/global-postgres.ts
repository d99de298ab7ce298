/** Starts one real PostgreSQL for the whole test run, with a migrated template database that each test file clones. */
import { mkdtemp, rm } from 'node:fs/promises';
import { chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { migrate } from '../../platform/database/migrate.js';
import { startEmbeddedPostgres } from '../../platform/embedded/postgres.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of the maintenance database `postgres` of the run's server. */
    readonly postgresUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-test-'));
  // PostgreSQL runs as another user where the tests run as root: it must be able to enter.
  await chmod(directory, 0o755);
  // Durability is tested with servers of their own; here it would only be slow.
  const server = await startEmbeddedPostgres({
    directory: join(directory, 'postgres'),
    settings: { fsync: 'off', full_page_writes: 'off', max_connections: '300' },
  });
  const maintenance = server.url.replace(/\/fleetgraph$/, '/postgres');
  await migrate(server.url);
  const client = new pg.Client({ connectionString: maintenance });
  await client.connect();
  await client.query('ALTER DATABASE fleetgraph RENAME TO template_fleetgraph');
  await client.end();
  project.provide('postgresUrl', maintenance);
  return async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  };
}
