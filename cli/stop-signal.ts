import type { Logger } from '../platform/observability/logger.js';

export interface StopSignal {
  /** Resolves on the first SIGINT or SIGTERM. */
  readonly stopped: Promise<void>;
  readonly hasCome: () => boolean;
}

/**
 * From now on the first signal is a wish to stop. A second one, one second or more after the first (npm sends each Ctrl-C on
 * as well), ends the process at once.
 */
export function awaitStopSignal(log: Logger): StopSignal {
  let firstAt: number | undefined;
  const stopped = new Promise<void>((resolve) => {
    const onSignal = (): void => {
      if (firstAt === undefined) {
        firstAt = Date.now();
        log.info('stopping: draining what was accepted; Ctrl-C again to give up on that');
        resolve();
      } else if (Date.now() - firstAt > 1_000) {
        process.exit(130);
      }
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
  return { stopped, hasCome: () => firstAt !== undefined };
}
