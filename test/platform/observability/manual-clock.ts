/** A clock that stands until a test moves it; what is due on the way is called in order. */
import type { LogClock } from '../../../platform/observability/log-clock.js';

export interface ManualClock extends LogClock {
  advance(ms: number): void;
  /** Timers that are set. */
  readonly timers: number;
}

export function manualClock(): ManualClock {
  let now = 0;
  const timers = new Set<{ readonly ms: number; due: number; readonly work: () => void }>();
  return {
    now: () => now,
    every(ms, work) {
      const timer = { ms, due: now + ms, work };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const until = now + ms;
      for (;;) {
        const [next] = [...timers].filter(({ due }) => due <= until).sort((one, other) => one.due - other.due);
        if (!next) break;
        now = next.due;
        next.due += next.ms;
        next.work();
      }
      now = until;
    },
    get timers() {
      return timers.size;
    },
  };
}
