import { pause } from '../../platform/lifecycle/wait.js';

/**
 * Waits until `check` returns without throwing, and gives what it returned. The way tests wait: for a condition, with a deadline.
 * @throws the last error of `check` when `timeoutMs` (default 20,000) have passed.
 */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs = 20_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(15);
    }
  }
}

/** Rejects if `promise` has not settled within `timeoutMs`, saying what was waited for. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
