/** A token is checked when an operation begins; a subscription outlives that, so its end is enforced by a timer. */
import { FleetgraphError } from '../../../platform/errors.js';

/** `setTimeout` takes no longer delay (2^31 - 1 ms); a token that lasts longer is looked at again. */
const maxTimerMs = 2_147_483_647;

/** Passes the source on until the token ends; then the operation ends with UNAUTHENTICATED. */
export function untilExpiry<T>(source: AsyncIterable<T>, expiresAtMs: number): AsyncGenerator<T, void, undefined> {
  const inner = source[Symbol.asyncIterator]();
  let hasExpired = false;
  // No race with a promise that lives as long as the token: each payload would leave a reaction on it.
  const cancel = at(expiresAtMs, () => {
    hasExpired = true;
    // What it fails with, if anything, the pending `next` tells.
    inner.return?.().catch(() => undefined);
  });
  const close = async (): Promise<void> => {
    cancel();
    await inner.return?.();
  };
  return {
    async next() {
      try {
        const result = await inner.next();
        if (hasExpired) throw expired();
        if (result.done === true) cancel();
        return result;
      } catch (error) {
        cancel();
        throw error;
      }
    },
    async return() {
      await close();
      return { done: true, value: undefined };
    },
    async throw(error) {
      await close();
      throw error;
    },
    [Symbol.asyncDispose]: close,
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Calls back at a time, however far away. @returns a function that cancels it. */
export function at(epochMs: number, callback: () => void): () => void {
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    const ms = epochMs - Date.now();
    timer = setTimeout(ms > maxTimerMs ? arm : callback, Math.min(Math.max(ms, 0), maxTimerMs));
    timer.unref();
  };
  arm();
  return () => clearTimeout(timer);
}

/** What an operation ends with when its token does. */
export function expired(): FleetgraphError {
  return new FleetgraphError(
    'UNAUTHENTICATED',
    'The token has expired. Get a new one and subscribe again with the last "cursor" as "since".',
  );
}
