import pg from 'pg';
import { connectionSettings } from './connection-settings.js';

/**
 * A connection that somebody keeps: to listen, or for a lock of its session. Not connected yet.
 *
 * A server that goes away behind a network that says nothing is found by the probes of `connectionSettings`, and by
 * `queryTimeoutMs` (default 30,000) when something was asked: TCP alone would go on for a quarter of an hour. What is asked
 * on it must be short.
 */
export function createDedicatedClient(options: {
  readonly databaseUrl: string;
  readonly applicationName: string;
  readonly queryTimeoutMs?: number | undefined;
}): pg.Client {
  return new pg.Client({
    connectionString: options.databaseUrl,
    application_name: options.applicationName,
    ...connectionSettings,
    query_timeout: options.queryTimeoutMs ?? 30_000,
  });
}
