/**
 * The clock of alerts: ends those that were held because they flap, once their rule has been calm. Any number of instances may run
 * it: each acts on an alert that it has locked, as it then is, so it ends once.
 */
import type pg from 'pg';
import { inTransaction, sqlOf } from '../../../platform/database/sql.js';
import { messageOf } from '../../../platform/errors.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { AlertMetrics } from './alert-metrics.js';
import { dueSlots } from './alert-rows.js';
import { moveAlerts, type Moved } from './move-alerts.js';

const batchSize = 200;
const pollMs = 1_000;

export interface Calm {
  /** Rejects with the last error while alerts can't be ended. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** Ends up to a batch of alerts whose wait is over at `nowMs`. */
export async function clearCalm(pool: pg.Pool, nowMs: number): Promise<readonly Moved[]> {
  const due = await dueSlots(sqlOf(pool), new Date(nowMs), batchSize);
  if (due.length === 0) return [];
  return inTransaction(pool, (sql) =>
    moveAlerts(
      sql,
      due.map((slot) => ({ slot, input: { kind: 'tick', atMs: nowMs }, cause: {} })),
    ),
  );
}

/** Starts the loop. */
export function startCalm(options: { pool: pg.Pool; log: Logger; metrics: AlertMetrics; wakeRelay: () => void }): Calm {
  const { pool, log, metrics, wakeRelay } = options;
  const stopped = new AbortController();
  let failure: Error | undefined;
  const running = (async () => {
    for (let failures = 0; !stopped.signal.aborted;) {
      let sleepMs = pollMs;
      try {
        const moved = await clearCalm(pool, Date.now());
        metrics.moved(moved);
        if (moved.length > 0) wakeRelay();
        if (moved.length === batchSize) sleepMs = 0;
        failures = 0;
        failure = undefined;
      } catch (error) {
        failure = new Error(`Alerts that are held can't be ended: ${messageOf(error)}`, { cause: error });
        log.warn({ reason: messageOf(error) }, 'ending alerts that are held failed; trying again');
        sleepMs += backoffMs(failures, 200, 5_000);
        failures += 1;
      }
      if (sleepMs > 0) await pause(sleepMs, stopped.signal);
    }
  })();
  return {
    async ready() {
      if (failure) throw failure;
    },
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
