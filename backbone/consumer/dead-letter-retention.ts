/** Forgets dead letters that were handled or discarded long ago. Those that nobody has looked at stay. */
import { startRounds } from '../../platform/lifecycle/rounds.js';
import { spreadMs } from '../../platform/lifecycle/wait.js';
import type { Sql } from '../../platform/database/sql.js';
import type { Logger } from '../../platform/observability/logger.js';

const leastDays = 30;
const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** Rows of one statement, so that it locks none for long. */
const batch = 1_000;

/**
 * Purges about once an hour until it is stopped; several instances may. A failure is made up for by a later round.
 * Kept are letters of 30 days, and longer than the bus keeps a record: one that comes again must find its letter, and not become
 * another.
 */
export function startDeadLetterRetention(options: { sql: Sql; log: Logger; busRetentionMs: number }): {
  stop(): Promise<void>;
} {
  const { sql, log } = options;
  const keptDays = Math.max(leastDays, Math.ceil(options.busRetentionMs / dayMs) + 1);
  return startRounds({
    log,
    failing: "Old dead letters can't be forgotten",
    backoff: { firstMs: 60_000, longestMs: hourMs },
    async round(stopped) {
      let purged = 0;
      for (let count = batch; count === batch && !stopped.aborted; purged += count)
        count = await purgeSettledLetters(sql, keptDays, batch);
      if (purged > 0) log.info({ purged }, 'old dead letters forgotten');
      return spreadMs(hourMs);
    },
  });
}

/** Removes some of those that were settled so many days ago. @returns how many. */
export async function purgeSettledLetters(sql: Sql, days: number, limit: number): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM dead_letters.dead_letters WHERE id IN (
       SELECT id FROM dead_letters.dead_letters
       WHERE status IN ('REPLAYED', 'DISCARDED') AND settled_at < now() - $1::int * interval '1 day'
       LIMIT $2::int FOR UPDATE SKIP LOCKED)
     RETURNING id`,
    [days, limit],
  );
  return rows.length;
}
