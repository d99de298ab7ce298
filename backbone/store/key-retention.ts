/** Forgets idempotency keys that no client repeats any more. */
import { purgeIdempotencyKeys, type IdempotencyTable } from './idempotency.js';
import type { Sql } from '../../platform/database/sql.js';
import { messageOf } from '../../platform/errors.js';
import { pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';

/** As the schemas of the subgraphs promise. */
const keptDays = 7;
const hourMs = 3_600_000;

/** Purges about once an hour until it is stopped; several instances may. A failure is logged and made up for by the next round. */
export function startKeyRetention(options: { sql: Sql; log: Logger; table: IdempotencyTable }): {
  stop(): Promise<void>;
} {
  const stopped = new AbortController();
  const loop = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        const purged = await purgeIdempotencyKeys(options.sql, options.table, keptDays);
        if (purged > 0) options.log.info({ purged }, 'old idempotency keys forgotten');
      } catch (error) {
        options.log.warn(
          { reason: messageOf(error) },
          'old idempotency keys could not be forgotten; trying again later',
        );
      }
      // Spread, so that instances that started together do not purge together.
      await pause(hourMs * (0.75 + Math.random() / 2), stopped.signal);
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
