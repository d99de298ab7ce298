/** A bell stays rung until somebody waits for it, so that nothing is missed between two waits. One waiter at a time. */
export interface Bell {
  readonly ring: () => void;
  /** Resolves when rung since the last wait, after `timeoutMs`, or when the signal is aborted. Never rejects. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

export function createBell(onClose: () => void = () => undefined): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async wait(timeoutMs, signal) {
      if (!rung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const done = (): void => {
            clearTimeout(timer);
            signal.removeEventListener('abort', done);
            wake = undefined;
            resolve();
          };
          const timer = setTimeout(done, timeoutMs);
          signal.addEventListener('abort', done);
          wake = done;
        });
      }
      rung = false;
    },
    close: onClose,
  };
}
