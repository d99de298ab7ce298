import pg from 'pg';
import { codeOf } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { connectionSettings } from './connection-settings.js';

/** bigint comes back as bigint, never as text or a lossy number; timestamps as Date; json parsed. Of every connection alike. */
export const columnTypes = new pg.TypeOverrides();
columnTypes.setTypeParser(pg.types.builtins.INT8, (value) => BigInt(value));

/**
 * A pool of connections. A lost idle connection is logged, not thrown: the next query opens another.
 * `idle_in_transaction_session_timeout` ends a forgotten transaction, which would otherwise stall the relay.
 */
export function createPool(options: { url: string; size: number; applicationName: string; log: Logger }): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.size,
    application_name: options.applicationName,
    idle_in_transaction_session_timeout: 60_000,
    ...connectionSettings,
    types: columnTypes,
  });
  pool.on('error', (error) => {
    // A server that stops in the moment in which the pool has closed its connections is no news.
    if (!pool.ending) options.log.warn({ code: codeOf(error), reason: error.message }, 'idle database connection lost');
  });
  surviveLoss(pool);
  return pool;
}

/**
 * A connection may be lost in the moment in which the pool hands it over, told by the same bytes that say that it is ready.
 * Then nobody listens yet, and an `error` that nobody hears ends the process. The next statement on it fails, and tells.
 */
export function surviveLoss(pool: pg.Pool): void {
  pool.on('connect', (client) => client.on('error', () => undefined));
}
