/** The clock of deliveries: gives up what has waited too long, forgets what has ended long ago. Several instances may run it. */
import type pg from 'pg';
import { sqlOf } from '../../../../platform/database/sql.js';
import { startRounds } from '../../../../platform/lifecycle/rounds.js';
import { spreadMs } from '../../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../../platform/observability/logger.js';
import { expirePending, purgeDeliveries } from './claim.js';

const roundMs = 60_000;
/** Rows of one statement, so that it locks none for long. */
const batch = 1_000;

/** Runs about once a minute until it is stopped. A failure is logged and made up for by the next round. */
export function startDeliveryRetention(options: { pool: pg.Pool; log: Logger; days: number }): {
  stop(): Promise<void>;
} {
  const { log, days } = options;
  const sql = sqlOf(options.pool);
  return startRounds({
    log,
    failing: "Old deliveries to webhooks can't be tidied up",
    backoff: { firstMs: 1_000, longestMs: roundMs },
    async round(stopped) {
      const all = async (work: () => Promise<number>): Promise<number> => {
        let total = 0;
        for (let count = batch; count === batch && !stopped.aborted; total += count) count = await work();
        return total;
      };
      const expired = await all(() => expirePending(sql, batch));
      const purged = await all(() => purgeDeliveries(sql, days, batch));
      if (expired + purged > 0) log.info({ expired, purged }, 'old deliveries to webhooks given up, forgotten');
      return spreadMs(roundMs);
    },
  });
}
