/**
 * Group commit: calls that come while a flush is on its way wait together and share the next one (one transaction in
 * PostgreSQL, one produce request a broker in Kafka). The slower the disk, the larger the flushes.
 * Invariants: flushes run one at a time, in the order of the calls, and a call resolves only after the commit of all its
 * records. A flush that fails rejects every call that waits at that moment too: a call that was made before the caller
 * could know of the failure never overtakes the one that failed, and who repeats both keeps their order.
 */
import { FleetgraphError, messageOf } from '../../platform/errors.js';
import { pause } from '../../platform/lifecycle/wait.js';
import { partsInFlush, partsOf, type FlushLimits, type Part } from './flush.js';
import type { AssignedRecord } from './partitioner.js';

export interface PublishQueue {
  /**
   * Resolves when the records are durable. A call within the limits of a flush is stored whole or not at all.
   * @throws FleetgraphError UNAVAILABLE when they were not stored, or not surely, because the database is away or too
   * much waits already: publish them again. BAD_USER_INPUT when one can never be stored.
   */
  push(records: readonly AssignedRecord[]): Promise<void>;
  /** Resolves when nothing waits or is on its way. */
  drain(): Promise<void>;
  /** Records that wait or are on their way. */
  depth(): number;
}

/**
 * Why records were not stored. `content`: the same records would be refused again. `away`: the log can't be reached, and
 * they may have been stored. `defect`: anything else.
 */
export type PublishFault = 'content' | 'away' | 'defect';

export interface PublishQueueOptions {
  /** Stores records. One call at a time. */
  readonly append: (records: readonly AssignedRecord[]) => Promise<void>;
  /** What an error of `append` means. */
  readonly faultOf: (error: unknown) => PublishFault;
  /** How long the first call waits for others to share its flush, milliseconds. Default 0: until the end of the tick. */
  readonly lingerMs?: number;
  readonly onFlushed: (records: readonly AssignedRecord[], seconds: number) => void;
  readonly onFailed: () => void;
  readonly limits: FlushLimits;
  /** Bytes that may wait, over all calls. Callers that await their calls rarely come near; beyond, calls are refused. */
  readonly maxQueuedBytes: number;
}

interface WaitingPart extends Part {
  readonly settle: (error?: unknown) => void;
}

export function createPublishQueue(options: PublishQueueOptions): PublishQueue {
  const { append, faultOf, onFlushed, onFailed, limits, maxQueuedBytes, lingerMs = 0 } = options;
  let waiting: WaitingPart[] = [];
  let queuedBytes = 0;
  let queuedRecords = 0;
  let full = false;
  let flushing: Promise<void> | undefined;

  const enqueue = (part: Part): Promise<void> =>
    new Promise((resolve, reject) => {
      queuedBytes += part.bytes;
      queuedRecords += part.records.length;
      const settle = (error?: unknown): void => {
        queuedBytes -= part.bytes;
        queuedRecords -= part.records.length;
        // Not at the first free byte: after a refusal, a later and smaller call must not slip in before the repetition.
        if (queuedBytes <= maxQueuedBytes / 2) full = false;
        if (error === undefined) resolve();
        else reject(error instanceof Error ? error : new Error(messageOf(error)));
      };
      waiting.push({ ...part, settle });
    });

  const store = async (parts: readonly WaitingPart[]): Promise<void> => {
    const records = parts.length === 1 ? (parts[0]?.records ?? []) : parts.flatMap((part) => part.records);
    const startedAtMs = performance.now();
    await append(records);
    onFlushed(records, (performance.now() - startedAtMs) / 1_000);
    for (const part of parts) part.settle();
  };

  /** Stores parts together; one by one if something in them can't be stored, so that only the part at fault is refused. */
  const storeOrRefuse = async (parts: readonly WaitingPart[]): Promise<void> => {
    let unsettled = parts;
    try {
      try {
        await store(parts);
        return;
      } catch (error) {
        if (faultOf(error) !== 'content') throw error;
      }
      for (const [index, part] of parts.entries()) {
        unsettled = parts.slice(index);
        try {
          await store([part]);
        } catch (error) {
          if (faultOf(error) !== 'content') throw error;
          onFailed();
          part.settle(refused(error));
        }
      }
    } catch (error) {
      onFailed();
      const failed = [...unsettled, ...waiting];
      waiting = [];
      for (const part of failed) part.settle(faultOf(error) === 'away' ? notStored(error) : error);
    }
  };

  const flushAll = async (): Promise<void> => {
    // Calls of the same tick share the first flush too.
    if (lingerMs > 0) await pause(lingerMs);
    else await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) await storeOrRefuse(waiting.splice(0, partsInFlush(waiting, limits)));
    flushing = undefined;
  };

  return {
    async push(records) {
      const parts = partsOf(records, limits);
      if (parts.length === 0) return;
      const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
      if (queuedBytes > 0 && queuedBytes + bytes > maxQueuedBytes) full = true;
      if (full)
        throw new FleetgraphError(
          'UNAVAILABLE',
          `The bus stores less than is published: ${Math.round(queuedBytes / 2 ** 20)} MiB wait already. Publish the records again later.`,
        );
      const stored = Promise.all(parts.map(enqueue));
      flushing ??= flushAll();
      await stored;
    },
    async drain() {
      while (flushing) await flushing;
    },
    depth: () => queuedRecords,
  };
}

function refused(cause: unknown): FleetgraphError {
  return new FleetgraphError(
    'BAD_USER_INPUT',
    `A record can't be stored on the bus: ${messageOf(cause)}. Publish records of at most a megabyte, and text without U+0000 and half surrogate pairs.`,
    { cause },
  );
}

function notStored(cause: unknown): FleetgraphError {
  return new FleetgraphError(
    'UNAVAILABLE',
    `The bus could not store records, or not surely: ${messageOf(cause)}. Publish them again.`,
    { cause },
  );
}
