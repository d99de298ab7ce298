/** The clock of deliveries: gives up what has waited too long, forgets what has ended long ago. Several instances may run it. */
import type pg from 'pg';
import { sqlOf } from '../../../../platform/database/sql.js';
import { messageOf } from '../../../../platform/errors.js';
import { pause } from '../../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../../platform/observability/logger.js';
import { expirePending, purgeDeliveries } from './claim.js';

const roundMs = 60_000;
/** Rows of one statement, so that it locks none for long. */
const batch = 1_000;

/** Runs about once a minute until it is stopped. A failure is logged and made up for by the next round. */
export function startDeliveryRetention(options: { pool: pg.Pool; log: Logger; days: number }): {
  stop(): Promise<void>;
} {
  const stopped = new AbortController();
  const sql = sqlOf(options.pool);
  const all = async (work: () => Promise<number>): Promise<number> => {
    let total = 0;
    for (let count = batch; count === batch && !stopped.signal.aborted; total += count) count = await work();
    return total;
  };
  const loop = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        const expired = await all(() => expirePending(sql, batch));
        const purged = await all(() => purgeDeliveries(sql, options.days, batch));
        if (expired + purged > 0)
          options.log.info({ expired, purged }, 'old deliveries to webhooks given up, forgotten');
      } catch (error) {
        options.log.warn({ reason: messageOf(error) }, 'old deliveries could not be tidied up; trying again later');
      }
      await pause(roundMs * (0.75 + Math.random() / 2), stopped.signal);
    }
  };
  const running = loop();
  return {
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
