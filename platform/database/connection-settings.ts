/**
 * What every connection to PostgreSQL has. A server that went away without a word (a failover, a dead host) is found by probes
 * of an idle connection, the system's own would begin after two hours; and, when something was asked, by the time that the answer
 * takes: TCP alone would go on for a quarter of an hour. What may take longer (a migration, a replay) has a connection of its own.
 */
export const connectionSettings = {
  connectionTimeoutMillis: 10_000,
  query_timeout: 30_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
} as const;
