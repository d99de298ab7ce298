/**
 * Consumes one partition while this member holds it: hands a batch to the handler until it takes it, commits behind it, goes on.
 * Invariants: one batch at a time; nothing is handed out before everything in front of it was taken; an offset is
 * committed only after the handler resolved, and never once the partition is lost.
 */
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { BatchHandler, BusRecord, TopicPartition } from './event-bus.js';

/** Offset of the next record to read. */
export interface Position extends TopicPartition {
  readonly offset: bigint;
}

export interface PartitionConsumer {
  /** Where it wants to be given records from; undefined while it has enough. */
  wanted(): Position | undefined;
  /** Gives it what follows the wanted position. `more` says that the log has more: it then reads ahead, by one batch. */
  give(records: readonly BusRecord[], more: boolean): void;
  /** Takes nothing more. Resolves when the running batch is committed or abandoned. */
  finish(): Promise<void>;
  /** Whether a batch is running. */
  busy(): boolean;
}

export interface PartitionConsumerOptions {
  /** Where it begins. */
  readonly from: Position;
  /** Aborted when the partition is lost. */
  readonly lost: AbortSignal;
  readonly handler: BatchHandler;
  readonly log: Logger;
  readonly group: string;
  /** Commits the offset of the next record. Resolves to false when the partition is no longer ours. */
  readonly commit: (offset: bigint) => Promise<boolean>;
  /** A commit was refused: another member has the partition. */
  readonly onLost: () => void;
  readonly onConsumed: (records: number) => void;
  readonly onRefused: () => void;
  /** Records between two offsets are gone: they were past their retention. */
  readonly onSkipped: (records: number) => void;
  /** It may want records now, or is no longer busy. */
  readonly onWanting: () => void;
  /** What must settle before the first batch: the handler that had this partition before it was lost, here. */
  readonly after: Promise<void> | undefined;
}

const shortestBackoffMs = 100;
const longestBackoffMs = 5_000;

export function createPartitionConsumer(options: PartitionConsumerOptions): PartitionConsumer {
  const { lost, handler, log, group } = options;
  const { topic, partition } = options.from;
  const finishing = new AbortController();
  let position = options.from.offset;
  let next: readonly BusRecord[] | undefined;
  let readsAhead = false;
  let running: Promise<void> | undefined;

  /** @returns whether the handler took the batch; false once the partition is lost, or it refused while we finish. */
  const handle = async (records: readonly BusRecord[]): Promise<boolean> => {
    for (let attempt = 0; !lost.aborted; attempt += 1) {
      try {
        await handler({ topic, partition, records, signal: lost });
        return true;
      } catch (error) {
        if (lost.aborted) break;
        options.onRefused();
        log.warn({ group, topic, partition, attempt, err: error }, 'a batch was refused and is given again');
        const waitMs = shortestBackoffMs + backoffMs(attempt, shortestBackoffMs, longestBackoffMs - shortestBackoffMs);
        await pauseUnless([lost, finishing.signal], waitMs);
        // The next owner of the partition gets the batch.
        if (finishing.signal.aborted) break;
      }
    }
    return false;
  };

  /** Commits until it is known whether the partition was still ours. */
  const commit = async (offset: bigint): Promise<boolean> => {
    for (let attempt = 0; !lost.aborted; attempt += 1) {
      try {
        return await options.commit(offset);
      } catch (error) {
        log.debug({ group, topic, partition, err: error }, 'an offset could not be committed yet');
        await pauseUnless([lost], 50 + backoffMs(attempt, 100, 1_000));
      }
    }
    return false;
  };

  const consume = async (): Promise<void> => {
    while (next !== undefined && !lost.aborted && !finishing.signal.aborted) {
      const records = next;
      next = undefined;
      if (readsAhead) options.onWanting();
      const last = records.at(-1);
      if (last === undefined || !(await handle(records))) return;
      if (await commit(last.offset + 1n)) options.onConsumed(records.length);
      else if (!lost.aborted) options.onLost();
    }
  };

  const start = (work: Promise<void>): void => {
    running = work.finally(() => {
      running = undefined;
      // Given in the moment between the end of the last batch and here.
      if (next !== undefined && !lost.aborted && !finishing.signal.aborted) start(consume());
      else options.onWanting();
    });
  };
  if (options.after) start(options.after);

  return {
    wanted() {
      const enough = next !== undefined || (running !== undefined && !readsAhead);
      return enough || lost.aborted || finishing.signal.aborted ? undefined : { topic, partition, offset: position };
    },
    give(records, more) {
      const [first] = records;
      const last = records.at(-1);
      if (first === undefined || last === undefined || lost.aborted || finishing.signal.aborted) return;
      if (first.offset > position) options.onSkipped(Number(first.offset - position));
      position = last.offset + 1n;
      next = records;
      readsAhead = more;
      // In the next turn: what `onWanting` calls must find it running.
      if (running === undefined) start(Promise.resolve().then(consume));
    },
    async finish() {
      finishing.abort();
      await running;
    },
    busy: () => running !== undefined,
  };
}

/** Sleeps, and resolves early when one of the signals is aborted. (AbortSignal.any keeps what it made alive too long.) */
async function pauseUnless(signals: readonly AbortSignal[], ms: number): Promise<void> {
  if (signals.some((signal) => signal.aborted)) return;
  const wake = new AbortController();
  const abort = (): void => wake.abort();
  for (const signal of signals) signal.addEventListener('abort', abort);
  await pause(ms, wake.signal);
  for (const signal of signals) signal.removeEventListener('abort', abort);
}
