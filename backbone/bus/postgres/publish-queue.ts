/**
 * Group commit: calls that come while a flush is on its way wait together and share the next one, which is one
 * statement and one transaction. The slower the disk, the larger the flushes.
 * Invariants: flushes run one at a time, in the order of the calls, and a call resolves only after the commit of all its
 * records. A flush that fails rejects every call that waits at that moment too: a call that was made before the caller
 * could know of the failure never overtakes the one that failed, and who repeats both keeps their order.
 */
import { isTransientDatabaseError } from '../../../platform/database/transient.js';
import { codeOf, FleetgraphError, messageOf } from '../../../platform/errors.js';
import { partsInFlush, partsOf, type FlushLimits, type Part } from './flush.js';
import type { AssignedRecord } from './log-appending.js';

export interface PublishQueue {
  /**
   * Resolves when the records are durable. A call within the limits of a flush is stored whole or not at all.
   * @throws FleetgraphError UNAVAILABLE when they were not stored, or not surely, because the database is away or too
   * much waits already: publish them again. BAD_USER_INPUT when one holds text that PostgreSQL can't store (U+0000).
   */
  push(records: readonly AssignedRecord[]): Promise<void>;
  /** Resolves when nothing waits or is on its way. */
  drain(): Promise<void>;
  /** Records that wait or are on their way. */
  depth(): number;
}

export interface PublishQueueOptions {
  /** Stores records, all or none. */
  readonly append: (records: readonly AssignedRecord[]) => Promise<void>;
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
  const { append, onFlushed, onFailed, limits, maxQueuedBytes } = options;
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
        if (!isFaultOfContent(error)) throw error;
      }
      for (const [index, part] of parts.entries()) {
        unsettled = parts.slice(index);
        try {
          await store([part]);
        } catch (error) {
          if (!isFaultOfContent(error)) throw error;
          onFailed();
          part.settle(refused(error));
        }
      }
    } catch (error) {
      onFailed();
      const failed = [...unsettled, ...waiting];
      waiting = [];
      for (const part of failed) part.settle(notStored(error));
    }
  };

  const flushAll = async (): Promise<void> => {
    // One turn of the event loop, so that calls of the same tick share the first flush too.
    await new Promise((resolve) => setImmediate(resolve));
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

/** SQLSTATE class 22, data exception, and 54000, program limit exceeded: the same records would be refused again. */
function isFaultOfContent(error: unknown): boolean {
  return /^(22...|54000)$/.test(codeOf(error) ?? '');
}

function refused(cause: unknown): FleetgraphError {
  return new FleetgraphError(
    'BAD_USER_INPUT',
    `A record can't be stored on the bus: ${messageOf(cause)}. Publish text without U+0000 and unpaired surrogates.`,
    { cause },
  );
}

function notStored(cause: unknown): unknown {
  if (!isTransientDatabaseError(cause) && !/timeout/i.test(messageOf(cause))) return cause;
  return new FleetgraphError(
    'UNAVAILABLE',
    `The bus could not store records, or not surely: ${messageOf(cause)}. Publish them again.`,
    { cause },
  );
}
