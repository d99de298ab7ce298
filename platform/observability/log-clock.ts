/** Time for what writes lines later; tests pass a clock of their own. */
export interface LogClock {
  /** Milliseconds; never goes back. */
  now(): number;
  /** Calls `work` every `ms` milliseconds until the returned function is called. Does not keep the process alive. */
  every(ms: number, work: () => void): () => void;
}

export const systemClock: LogClock = {
  now: () => performance.now(),
  every(ms, work) {
    const timer = setInterval(work, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};
