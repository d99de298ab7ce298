/**
 * Who asks for what is being asked for already waits for the same answer. Only for what reads, and only under the same
 * authority: both are in the key. What is read is never older than a mutation that has been answered: after each of them,
 * `renew` lets nobody join what was begun before.
 */
import type { GatewayContext } from '../../request-context.js';
import type { CancelSignal } from '../cancellation.js';
import type { Cancellable } from './exchange.js';

export interface InFlight {
  /** @param signal ends the waiting of this caller; what is under way is cancelled when nobody is left. */
  share<T>(key: string, signal: CancelSignal | undefined, begin: () => Cancellable<T>): Promise<T>;
  renew(): void;
  /** An execution under this authority begins, and ends: while it is the only one, nobody could ask for the same. */
  enter(authority: string): void;
  leave(authority: string): void;
  /** Whether exactly one execution is known under this authority. */
  isAlone(authority: string): boolean;
}

interface Entry {
  readonly promise: Promise<unknown>;
  readonly cancel: () => void;
  waiting: number;
}

export function createInFlight(): InFlight {
  let entries = new Map<string, Entry>();
  const executions = new Map<string, number>();
  return {
    enter: (authority) => void executions.set(authority, (executions.get(authority) ?? 0) + 1),
    leave(authority) {
      const left = (executions.get(authority) ?? 1) - 1;
      if (left > 0) executions.set(authority, left);
      else executions.delete(authority);
    },
    isAlone: (authority) => executions.get(authority) === 1,
    renew() {
      entries = new Map();
    },
    share<T>(key: string, signal: CancelSignal | undefined, begin: () => Cancellable<T>): Promise<T> {
      const table = entries;
      const known = table.get(key);
      const entry = known ?? { ...begin(), waiting: 0 };
      const forget = (): void => {
        if (table.get(key) === entry) table.delete(key);
      };
      if (!known) {
        table.set(key, entry);
        entry.promise.then(forget, forget);
      }
      entry.waiting += 1;
      return untilAborted(entry.promise as Promise<T>, signal, () => {
        entry.waiting -= 1;
        if (entry.waiting > 0) return;
        forget();
        entry.cancel();
      });
    },
  };
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
      const { reason } = signal;
      reject(reason instanceof Error ? reason : new Error(String(reason)));
      onAborted();
    };
    if (signal.aborted) {
      leave();
      promise.catch(() => undefined);
      return;
    }
    signal.addEventListener('abort', leave, { once: true });
    const stay = (): void => signal.removeEventListener('abort', leave);
    promise.then(
      (value) => {
        stay();
        resolve(value);
      },
      (error: unknown) => {
        stay();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
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
