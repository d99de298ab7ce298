import { setTimeout as delay } from 'node:timers/promises';

/** Sleeps, and resolves early (without throwing) when the signal is aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? undefined : { signal });
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}

/** Exponential backoff with full jitter, in milliseconds: attempt 0 is up to `baseMs`, never more than `maxMs`. */
export function backoffMs(attempt: number, baseMs: number, maxMs: number): number {
  return Math.random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
}
