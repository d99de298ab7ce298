/**
 * Time passes: devices for which something is due though nothing was heard are looked at. Any number of instances may do it: each
 * takes rows that nobody else has locked, and what is due is in the row, so it survives whoever should have done it.
 */
import { messageOf } from '../../platform/errors.js';
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { OrchestratorMetrics } from './orchestrator-metrics.js';
import type { DeviceWatch } from './watch/device-watch.js';

const batchSize = 200;
const longestSleepMs = 250;
/** While devices are due but locked by others: how soon to look again. */
const shortestSleepMs = 20;

export interface Sweep {
  /** Rejects with the last error while time can't pass. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the loop. */
export function startSweep(options: {
  watch: Pick<DeviceWatch, 'pass' | 'nextDueTime'>;
  log: Logger;
  metrics: OrchestratorMetrics;
}): Sweep {
  const { watch, log, metrics } = options;
  const stopped = new AbortController();
  let failure: Error | undefined;

  const round = async (): Promise<number> => {
    if ((await watch.pass(Date.now(), batchSize)) === batchSize) return 0;
    const due = await watch.nextDueTime();
    const inMs = due === undefined ? longestSleepMs : due.getTime() - Date.now();
    metrics.sweepLag.set(Math.max(0, -inMs / 1_000));
    return Math.min(longestSleepMs, Math.max(shortestSleepMs, inMs));
  };

  const running = (async () => {
    for (let failures = 0; !stopped.signal.aborted;) {
      let sleepMs: number;
      try {
        sleepMs = await round();
        failures = 0;
        failure = undefined;
      } catch (error) {
        failure = new Error(`Rules can't be asked as time passes: ${messageOf(error)}`, { cause: error });
        log.warn({ reason: messageOf(error) }, 'asking rules as time passes failed; trying again');
        sleepMs = backoffMs(failures, 200, 5_000);
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
