/** Work that comes round again and again in the background: what is due now, then a sleep until more is. */
import { isTransientDatabaseError } from '../database/transient.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { createOutageLog } from '../observability/outage-log.js';
import { backoffMs, pause } from './wait.js';

export interface Rounds {
  /** There may be something to do: the next round begins at once. After one that failed, no sooner than it would have. */
  wake(): void;
  /** Rejects with the last error while rounds fail. */
  ready(): Promise<void>;
  /** Ends the loop; resolves when the round in hand has ended. */
  stop(): Promise<void>;
}

export interface RoundsOptions {
  /** Does what is due. @returns milliseconds until the next round; 0 for at once. */
  readonly round: (stopped: AbortSignal) => Promise<number>;
  /** What can't be done while rounds fail, as a sentence without its end: `Jobs can't be worked on`. */
  readonly failing: string;
  readonly log: Logger;
  /** How long a first failure holds up the next round at the most, and how long any does. Default 200 and 5,000 ms. */
  readonly backoff?: { readonly firstMs: number; readonly longestMs: number };
}

/** Starts the loop. A round that fails is begun again, later each time. */
export function startRounds({ round, failing, log, backoff }: RoundsOptions): Rounds {
  const { firstMs, longestMs } = backoff ?? { firstMs: 200, longestMs: 5_000 };
  const stopped = new AbortController();
  let woken = new AbortController();
  let failure: Error | undefined;
  const outages = createOutageLog({ log, event: failing });

  const running = (async () => {
    for (let failures = 0; !stopped.signal.aborted;) {
      woken = new AbortController();
      try {
        const sleepMs = await round(stopped.signal);
        failures = 0;
        failure = undefined;
        outages.succeeded(failing);
        if (sleepMs > 0) await pause(sleepMs, woken.signal);
      } catch (error) {
        failure = new Error(`${failing}: ${messageOf(error)}`, { cause: error });
        if (isTransientDatabaseError(error)) outages.failed(failing, error);
        else log.error({ err: error }, `${failing}; trying again`);
        // Never at once: what fails without waiting for anything would take the whole processor.
        await pause(20 + backoffMs(failures, firstMs, longestMs), stopped.signal);
        failures += 1;
      }
    }
  })();

  return {
    wake: () => woken.abort(),
    async ready() {
      if (failure) throw failure;
    },
    async stop() {
      stopped.abort();
      woken.abort();
      await running;
    },
  };
}
