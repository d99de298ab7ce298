/**
 * The clock of alerts: ends those that were held because they flap, once their rule has been calm. Any number of instances may run
 * it: each acts on an alert that it has locked, as it then is, so it ends once.
 */
import type pg from 'pg';
import { inTransaction, sqlOf } from '../../../platform/database/sql.js';
import { startRounds, type Rounds } from '../../../platform/lifecycle/rounds.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { AlertMetrics } from './alert-metrics.js';
import { dueSlots } from './alert-rows.js';
import { moveAlerts, type Moved } from './move-alerts.js';

const batchSize = 200;
const pollMs = 1_000;

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
export function startCalm(options: {
  pool: pg.Pool;
  log: Logger;
  metrics: AlertMetrics;
  wakeRelay: () => void;
}): Rounds {
  const { pool, log, metrics, wakeRelay } = options;
  return startRounds({
    log,
    failing: "Alerts that are held can't be ended",
    async round() {
      const moved = await clearCalm(pool, Date.now());
      metrics.moved(moved);
      if (moved.length > 0) wakeRelay();
      return moved.length === batchSize ? 0 : pollMs;
    },
  });
}
