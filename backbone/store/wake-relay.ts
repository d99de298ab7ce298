/**
 * Wakes the relay after a commit. NOTIFY takes a lock of the whole server at commit, so it is never part of a
 * transaction that appends, and at most one is sent in `throttleMs`: the relay polls anyway.
 */
import type pg from 'pg';
import type { Logger } from '../../platform/observability/logger.js';

/** Channel that the relay listens on. */
export const relayChannel = 'fleetgraph_relay';

/** @returns a function to call after each commit that appended events. It never throws and never waits. */
export function createRelayWaker(options: { pool: pg.Pool; log: Logger; throttleMs?: number }): () => void {
  const throttleMs = options.throttleMs ?? 10;
  let lastAt = 0;
  let timer: NodeJS.Timeout | undefined;
  const notify = (): void => {
    timer = undefined;
    lastAt = performance.now();
    options.pool.query('SELECT pg_notify($1, $2)', [relayChannel, '']).catch((error: unknown) => {
      options.log.debug({ err: error }, 'the relay could not be woken; it polls');
    });
  };
  return () => {
    if (timer !== undefined) return;
    const waitMs = lastAt + throttleMs - performance.now();
    if (waitMs <= 0) notify();
    else timer = setTimeout(notify, waitMs);
  };
}
