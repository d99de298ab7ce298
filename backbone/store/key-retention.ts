/** Forgets idempotency keys that no client repeats any more. */
import { purgeIdempotencyKeys, type IdempotencyTable } from './idempotency.js';
import type { Sql } from '../../platform/database/sql.js';
import { startRounds } from '../../platform/lifecycle/rounds.js';
import { spreadMs } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';

/** As the schemas of the subgraphs promise. */
const keptDays = 7;
const hourMs = 3_600_000;

/** Purges about once an hour until it is stopped; several instances may. A failure is logged and made up for by the next round. */
export function startKeyRetention(options: { sql: Sql; log: Logger; table: IdempotencyTable }): {
  stop(): Promise<void>;
} {
  const { sql, log, table } = options;
  return startRounds({
    log,
    failing: "Old idempotency keys can't be forgotten",
    backoff: { firstMs: 60_000, longestMs: hourMs },
    async round() {
      const purged = await purgeIdempotencyKeys(sql, table, keptDays);
      if (purged > 0) log.info({ purged }, 'old idempotency keys forgotten');
      return spreadMs(hourMs);
    },
  });
}
