/** Work that runs side by side and whose results come out in the order in which it was begun. */
export interface InOrder<T> {
  /** Adds a result, or one that is to come. Resolves when there is room for another. */
  add(result: T | Promise<T>): Promise<void>;
  /** Resolves when everything has come out; rejects with the first failure, after which nothing comes out any more. */
  settled(): Promise<void>;
}

/** @param max results that may be waited for at once. */
export function inOrder<T>(max: number, deliver: (result: T) => void): InOrder<T> {
  let last: Promise<void> | undefined;
  const waiting: Promise<void>[] = [];
  return {
    async add(result) {
      if (last === undefined && !(result instanceof Promise)) {
        deliver(result);
        return;
      }
      const before = last;
      const own = (async () => {
        // Begun already; a failure of one before it is reported there.
        const outcome = await Promise.allSettled([result]);
        await before;
        const [first] = outcome;
        if (first.status === 'rejected') throw first.reason;
        deliver(first.value);
      })();
      last = own;
      waiting.push(own);
      const done = (): void => {
        void waiting.splice(waiting.indexOf(own), 1);
        if (last === own) last = undefined;
      };
      own.then(done, () => undefined);
      if (waiting.length >= max) await waiting[0];
    },
    async settled() {
      await last;
    },
  };
}
