/**
 * What every connection to PostgreSQL has. A server that went away without a word (a failover, a dead host) is found by probes
 * of an idle connection; the system's own would begin after two hours.
 */
export const connectionSettings = {
  connectionTimeoutMillis: 10_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
} as const;
