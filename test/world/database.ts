import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { pino } from 'pino';
import { inject } from 'vitest';
import { createPool } from '../../platform/database/pool.js';

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  readonly pool: pg.Pool;
}

/** A log that says nothing, for tests that don't look at it. */
export const silentLog = pino({ level: 'silent' });

/** A freshly migrated database of its own on the run's PostgreSQL. Dispose of it in `afterAll`. */
export async function createDatabase(): Promise<TestDatabase> {
  const maintenance = inject('postgresUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onMaintenance(maintenance, `CREATE DATABASE ${name} TEMPLATE template_fleetgraph`);
  const url = maintenance.replace(/\/postgres$/, `/${name}`);
  const pool = createPool({ url, size: 10, applicationName: name, log: silentLog });
  return {
    url,
    pool,
    async [Symbol.asyncDispose]() {
      await pool.end();
      await onMaintenance(maintenance, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

async function onMaintenance(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // Serialised: two clones of one template at once fail.
    await client.query('SELECT pg_advisory_lock(7)');
    await client.query(statement);
  } finally {
    await client.end();
  }
}
