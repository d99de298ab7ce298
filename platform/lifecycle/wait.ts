import { setTimeout as delay } from 'node:timers/promises';

/** Sleeps, and resolves early (without throwing) when the signal is aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? undefined : { signal });
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}

/** About so many milliseconds, a quarter more or less: what several instances began together they don't go on with together. */
export function spreadMs(ms: number): number {
  return ms * (0.75 + Math.random() / 2);
}

/** Waits until the promise has settled, however, for so long at the most. Never rejects. */
export async function settledWithin(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  const waiting = new AbortController();
  await Promise.race([promise.catch(() => undefined), pause(timeoutMs, waiting.signal)]);
  waiting.abort();
}

/** Exponential backoff with full jitter, in milliseconds: attempt 0 is up to `baseMs`, never more than `maxMs`. */
export function backoffMs(attempt: number, baseMs: number, maxMs: number): number {
  return Math.random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
}
