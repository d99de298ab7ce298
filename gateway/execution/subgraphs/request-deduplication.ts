/**
 * Deduplicates equal reads that run at the same time: a caller that asks for what is being asked for already waits for the same
 * answer. Reads are shared only under the same authority, which is part of the key. An answer is never older than a mutation
 * that has been answered: after each mutation, `renew` keeps callers from joining reads that began before it.
 */
import type { GatewayContext } from '../../request-context.js';
import { Cancellation, type CancelSignal } from '../cancellation.js';

/** Begins a read. @param signal aborted when no caller waits for it any more */
export type BeginRead<T> = (signal: CancelSignal) => Promise<T>;

export interface RequestDeduplication {
  /**
   * The answer to a read that runs already, or to a new one.
   * @param authority in whose name it is asked (`authorityOf`)
   * @param key equal for equal reads
   * @param signal ends the waiting of this caller; the read is cancelled when its last caller has gone
   */
  share<T>(authority: string, key: string, signal: CancelSignal | undefined, begin: BeginRead<T>): Promise<T>;
  renew(): void;
  /** An execution under this authority begins, and ends: while it is the only one, no other could ask for the same. */
  enter(authority: string): void;
  leave(authority: string): void;
  /** Whether exactly one execution runs under this authority. */
  isAlone(authority: string): boolean;
}

/** What runs under one authority. */
interface Caller {
  executions: number;
  readonly reads: Map<string, Read>;
}

interface Read {
  /** The number of renewals before it began. */
  readonly generation: number;
  readonly promise: Promise<unknown>;
  readonly cancellation: Cancellation;
  waiting: number;
}

export function createRequestDeduplication(): RequestDeduplication {
  const callers = new Map<string, Caller>();
  let generation = 0;
  const callerOf = (authority: string): Caller => {
    let caller = callers.get(authority);
    if (!caller) callers.set(authority, (caller = { executions: 0, reads: new Map() }));
    return caller;
  };
  const dropIfUnused = (authority: string, caller: Caller): void => {
    if (caller.executions === 0 && caller.reads.size === 0) callers.delete(authority);
  };

  const beginRead = <T>(
    authority: string,
    caller: Caller,
    key: string,
    signal: CancelSignal | undefined,
    begin: BeginRead<T>,
  ): Promise<T> => {
    const cancellation = new Cancellation();
    const promise = begin(cancellation);
    const read: Read = { generation, promise, cancellation, waiting: 1 };
    caller.reads.set(key, read);
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        reject(errorOf(signal?.reason));
        leaveRead(caller, key, read);
      };
      const end = (): void => {
        signal?.removeEventListener('abort', leave);
        if (caller.reads.get(key) === read) caller.reads.delete(key);
        dropIfUnused(authority, caller);
      };
      promise.then(
        (value) => {
          end();
          resolve(value);
        },
        (error: unknown) => {
          end();
          reject(errorOf(error));
        },
      );
      if (signal?.aborted === true) leave();
      else signal?.addEventListener('abort', leave);
    });
  };

  return {
    enter(authority) {
      callerOf(authority).executions += 1;
    },
    leave(authority) {
      const caller = callers.get(authority);
      if (!caller) return;
      caller.executions -= 1;
      dropIfUnused(authority, caller);
    },
    isAlone: (authority) => callers.get(authority)?.executions === 1,
    renew() {
      generation += 1;
    },
    share(authority, key, signal, begin) {
      const caller = callerOf(authority);
      const known = caller.reads.get(key);
      if (known?.generation !== generation) return beginRead(authority, caller, key, signal, begin);
      known.waiting += 1;
      return untilAborted(known.promise as ReturnType<typeof begin>, signal, () => leaveRead(caller, key, known));
    },
  };
}

function leaveRead({ reads }: Caller, key: string, read: Read): void {
  read.waiting -= 1;
  if (read.waiting > 0) return;
  if (reads.get(key) === read) reads.delete(key);
  read.cancellation.abort();
}

/** The promise, or what the signal is aborted with, if that is earlier. */
export function untilAborted<T>(
  promise: Promise<T>,
  signal: CancelSignal | undefined,
  onAborted: () => void,
): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const leave = (): void => {
      reject(errorOf(signal?.reason));
      onAborted();
    };
    if (signal.aborted) {
      leave();
      promise.catch(() => undefined);
      return;
    }
    signal.addEventListener('abort', leave);
    const stay = (): void => signal.removeEventListener('abort', leave);
    promise.then(
      (value) => {
        stay();
        resolve(value);
      },
      (error: unknown) => {
        stay();
        reject(errorOf(error));
      },
    );
  });
}

function errorOf(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** In whose name, and as of when, a subgraph is asked: all that is passed on but what only tells requests apart. */
export function authorityOf(context: GatewayContext): string {
  return (context.authority ??= authorityIn(context));
}

function authorityIn({ forwarded }: GatewayContext): string {
  let text = '';
  for (const name in forwarded) if (!telling.has(name)) text += `${name}:${forwarded[name] ?? ''}\n`;
  return text;
}

/** What only tells requests apart. Nothing is allowed, and no query answered otherwise, because of it. */
const telling: ReadonlySet<string> = new Set(['x-correlation-id', 'traceparent', 'x-fleetgraph-client-address']);
