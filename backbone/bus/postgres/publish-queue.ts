/**
 * Group commit: calls that come while a flush is on its way wait together and share the next one, which is one
 * statement and one transaction. The slower the disk, the larger the batches.
 * Invariant: flushes run one at a time, in the order of the calls; a call resolves only after its commit.
 */
import type { AssignedRecord } from './records.js';

export interface PublishQueue {
  /** Resolves when the records are durable; rejects, with none of them stored, when their flush failed. */
  push(records: readonly AssignedRecord[]): Promise<void>;
  /** Resolves when nothing is queued or on its way. */
  drain(): Promise<void>;
}

interface Call {
  readonly records: readonly AssignedRecord[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** `maxQueued` bounds the records that wait; beyond it, callers wait before they are queued. */
export function createPublishQueue(options: {
  append: (records: readonly AssignedRecord[]) => Promise<void>;
  onFlushed: (records: readonly AssignedRecord[], seconds: number) => void;
  maxFlush?: number;
  maxQueued?: number;
}): PublishQueue {
  const { append, onFlushed, maxFlush = 2_000, maxQueued = 50_000 } = options;
  let calls: Call[] = [];
  let queued = 0;
  let flushing: Promise<void> | undefined;
  let waiters: (() => void)[] = [];

  const takeCalls = (): Call[] => {
    let count = 0;
    let end = 0;
    for (; end < calls.length && (count === 0 || count + (calls[end]?.records.length ?? 0) <= maxFlush); end += 1) {
      count += calls[end]?.records.length ?? 0;
    }
    const taken = calls.slice(0, end);
    calls = calls.slice(end);
    queued -= count;
    return taken;
  };

  const flushAll = async (): Promise<void> => {
    // One turn of the event loop, so that calls of the same tick share the first flush too.
    await new Promise((resolve) => setImmediate(resolve));
    while (calls.length > 0) {
      const taken = takeCalls();
      const admitted = waiters;
      waiters = [];
      for (const admit of admitted) admit();
      const records = taken.flatMap((call) => call.records);
      const startedAt = performance.now();
      try {
        await append(records);
      } catch (error) {
        for (const call of taken) call.reject(error);
        continue;
      }
      for (const call of taken) call.resolve();
      onFlushed(records, (performance.now() - startedAt) / 1_000);
    }
    flushing = undefined;
  };

  return {
    async push(records) {
      if (records.length === 0) return;
      while (queued > 0 && queued + records.length > maxQueued)
        await new Promise<void>((resolve) => waiters.push(resolve));
      queued += records.length;
      const durable = new Promise<void>((resolve, reject) => calls.push({ records, resolve, reject }));
      flushing ??= flushAll();
      await durable;
    },
    async drain() {
      while (flushing) await flushing;
    },
  };
}
