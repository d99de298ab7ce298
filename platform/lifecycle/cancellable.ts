/**
 * An async generator that can be left while it waits. `return()` of a plain one takes effect only after its pending
 * `await` (ECMAScript, AsyncGeneratorResumeNext), which for a subscription may be never: so it is told by a signal.
 */
export function cancellable<T>(
  generate: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  const leaving = new AbortController();
  const inner = generate(leaving.signal);
  return {
    next: () => inner.next(),
    return(value) {
      leaving.abort();
      return inner.return(value);
    },
    throw(error) {
      leaving.abort();
      return inner.throw(error);
    },
    async [Symbol.asyncDispose]() {
      leaving.abort();
      await inner.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
