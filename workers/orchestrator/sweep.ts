/**
 * Time passes: devices for which something is due though nothing was heard are looked at. Any number of instances may do it: each
 * takes rows that nobody else has locked, and what is due is in the row, so it survives whoever should have done it.
 */
import { startRounds, type Rounds } from '../../platform/lifecycle/rounds.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { OrchestratorMetrics } from './orchestrator-metrics.js';
import type { DeviceWatch } from './watch/device-watch.js';

const batchSize = 200;
const longestSleepMs = 250;
/** While devices are due but locked by others: how soon to look again. */
const shortestSleepMs = 20;

/** Starts the loop. */
export function startSweep(options: {
  watch: Pick<DeviceWatch, 'pass' | 'nextDueTime'>;
  log: Logger;
  metrics: OrchestratorMetrics;
}): Rounds {
  const { watch, log, metrics } = options;
  return startRounds({
    log,
    failing: "Rules can't be asked as time passes",
    async round() {
      if ((await watch.pass(Date.now(), batchSize)) === batchSize) return 0;
      const due = await watch.nextDueTime();
      const inMs = due === undefined ? longestSleepMs : due.getTime() - Date.now();
      metrics.sweepLag.set(Math.max(0, -inMs / 1_000));
      return Math.min(longestSleepMs, Math.max(shortestSleepMs, inMs));
    },
  });
}
