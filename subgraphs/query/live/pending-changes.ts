/**
 * What waits between the feed, which never waits, and a client, which may be slow. Both kinds are bounded.
 * Invariant of both: changes come out in the order of `seq`; so the number of one that came out says that everything
 * below it came out too, or (conflating) was replaced by a later change of the same entity.
 */
import { FleetgraphError } from '../../../platform/errors.js';
import type { Change } from '../../../backbone/changes/change.js';

export interface PendingChanges {
  /** Adds a change. Never blocks. */
  push(change: Change): void;
  /** The next change; waits for one. Undefined once the signal is aborted. @throws what `fail` was given. */
  take(signal: AbortSignal): Promise<Change | undefined>;
  /** Ends the queue: `take` throws from now on. */
  fail(error: Error): void;
  /** Whether changes were thrown away because there were too many. */
  overflowed(): boolean;
  /** Empties it and starts again, after an overflow. */
  reset(): void;
}

/**
 * Keeps the latest change of each entity. Memory is bounded by the number of entities.
 * A client that is slow gets a round of latest changes, then those that came meanwhile: so an entity that changes all
 * the time can't keep the others from being sent.
 */
export function createConflatingChanges(): PendingChanges {
  let round: Change[] = [];
  let next = new Map<string, Change>();
  const waiter = createWaiter();
  return {
    push(change) {
      // Deleted first, so that the map's order is that of the latest changes.
      next.delete(change.id);
      next.set(change.id, change);
      waiter.wake();
    },
    async take(signal) {
      await waiter.wait(signal, () => round.length > 0 || next.size > 0);
      if (signal.aborted) return undefined;
      if (round.length === 0) {
        round = [...next.values()].reverse();
        next = new Map();
      }
      return round.pop();
    },
    fail: waiter.fail,
    overflowed: () => false,
    reset() {
      round = [];
      next = new Map();
    },
  };
}

/** Keeps every change, at most `max`; one more and all are thrown away, because a stream with a hole is worth nothing. */
export function createBoundedChanges(max: number): PendingChanges {
  let queue: Change[] = [];
  let start = 0;
  let overflowed = false;
  const waiter = createWaiter();
  return {
    push(change) {
      if (overflowed) return;
      if (queue.length - start >= max) {
        overflowed = true;
        queue = [];
        start = 0;
      } else queue.push(change);
      waiter.wake();
    },
    async take(signal) {
      await waiter.wait(signal, () => overflowed || start < queue.length);
      if (signal.aborted) return undefined;
      if (overflowed)
        throw new FleetgraphError(
          'LAGGED',
          `You read more slowly than things happen: more than ${max} payloads were waiting. Subscribe again with the last "cursor" you got as "since"; nothing is lost.`,
        );
      const change = queue[start];
      start += 1;
      if (start > 1_024 && start * 2 > queue.length) {
        queue = queue.slice(start);
        start = 0;
      }
      return change;
    },
    fail: waiter.fail,
    overflowed: () => overflowed,
    reset() {
      queue = [];
      start = 0;
      overflowed = false;
    },
  };
}

interface Waiter {
  wake(): void;
  readonly fail: (error: Error) => void;
  /** Resolves when `isReady` or the signal is aborted. */
  wait(signal: AbortSignal, isReady: () => boolean): Promise<void>;
}

/** One sleeper that is woken: by a push, an error or an abort. */
function createWaiter(): Waiter {
  let waking: (() => void) | undefined;
  let failure: Error | undefined;
  const wake = (): void => {
    waking?.();
    waking = undefined;
  };
  return {
    wake,
    fail(error) {
      failure ??= error;
      wake();
    },
    async wait(signal, isReady) {
      while (!signal.aborted && failure === undefined && !isReady()) {
        await new Promise<void>((resolve) => {
          waking = resolve;
          signal.addEventListener('abort', wake, { once: true });
        });
        signal.removeEventListener('abort', wake);
      }
      if (failure !== undefined && !signal.aborted) throw failure;
    },
  };
}
