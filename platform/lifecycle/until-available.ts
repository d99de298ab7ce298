import type { Logger } from '../observability/logger.js';
import { messageOf } from '../errors.js';
import { backoffMs, pause } from './wait.js';

/**
 * Does something that needs a neighbour which may start later than we do, again until it works.
 * Containers start in any order; a neighbour that stays away is for the operator, so the wait is bounded.
 * @throws the last error, after `timeoutMs`, or at once when `isAway` says that waiting won't help.
 */
export async function untilAvailable<T>(
  what: string,
  work: () => Promise<T>,
  options: { log: Logger; timeoutMs: number; isAway: (error: unknown) => boolean },
): Promise<T> {
  const startedAtMs = performance.now();
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!options.isAway(error) || performance.now() - startedAtMs >= options.timeoutMs) throw error;
      options.log.warn({ reason: messageOf(error) }, `waiting for ${what}`);
      await pause(250 + backoffMs(attempt, 250, 3_000));
    }
  }
}
