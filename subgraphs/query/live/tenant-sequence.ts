/**
 * Puts the changes of one tenant, which the bus gives in any order, possibly twice or not at all, into their order.
 * Invariant: `offer` returns each change once, in the order of `seq`, without a gap behind `position`.
 */
import type { Change } from '../../../backbone/changes/change.js';

export interface TenantSequence {
  /** Number of the last change that was returned. */
  position(): bigint;
  /** Takes a change; returns those that can go on now. */
  offer(change: Change): readonly Change[];
  /** Learns that changes up to `seq` are committed, wherever they are. */
  expect(seq: bigint): void;
  /** Whether something that is committed has not come. */
  hasGap(): boolean;
  /** Gives up on what is missing up to `seq`: the log no longer has it. Returns what can go on behind it. */
  skipTo(seq: bigint): readonly Change[];
}

/** @param position number of the last change that is not wanted. @param maxHeld most changes to hold behind a gap; the log has the rest. */
export function createTenantSequence(position: bigint, maxHeld = 10_000): TenantSequence {
  const held = new Map<bigint, Change>();
  let last = position;
  let known = position;
  const release = (): readonly Change[] => {
    const released: Change[] = [];
    for (let next = held.get(last + 1n); next !== undefined; next = held.get(last + 1n)) {
      last += 1n;
      held.delete(last);
      released.push(next);
    }
    return released;
  };
  return {
    position: () => last,
    offer(change) {
      if (change.seq <= last) return [];
      if (change.seq > known) known = change.seq;
      // The one that closes the gap is always taken, or a full buffer would stay full.
      if (held.size < maxHeld || change.seq === last + 1n) held.set(change.seq, change);
      return release();
    },
    expect(seq) {
      if (seq > known) known = seq;
    },
    hasGap: () => known > last,
    skipTo(seq) {
      if (seq <= last) return [];
      last = seq;
      if (last > known) known = last;
      for (const each of held.keys()) if (each <= last) held.delete(each);
      return release();
    },
  };
}
