import pg from 'pg';

/** How long a server may say nothing before the connection to it counts as lost, milliseconds. */
const silenceMs = 10_000;

/**
 * A connection that somebody keeps: to listen, or for a lock of its session. Not connected yet.
 *
 * A server that goes away behind a network that says nothing (a failover, a dead host) is found by probes of an idle
 * connection, and by `queryTimeoutMs` (default 30,000) when something was asked: TCP alone would go on for a quarter of an
 * hour. What is asked on it must be short.
 */
export function createDedicatedClient(options: {
  readonly databaseUrl: string;
  readonly applicationName: string;
  readonly queryTimeoutMs?: number | undefined;
}): pg.Client {
  return new pg.Client({
    connectionString: options.databaseUrl,
    application_name: options.applicationName,
    connectionTimeoutMillis: silenceMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: silenceMs,
    query_timeout: options.queryTimeoutMs ?? 30_000,
  });
}
