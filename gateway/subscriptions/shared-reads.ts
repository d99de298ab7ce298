/**
 * Reads that are shared by all who ask for the same before it is read. Who asks while it is being read gets the next one: what
 * is read must be no older than the question.
 */
export interface SharedReads<T> {
  read(key: string, read: () => Promise<T>): Promise<T>;
}

interface Slot<T> {
  /** Asked for, not begun. */
  collecting: Promise<T> | undefined;
  reading: boolean;
}

export function createSharedReads<T>(): SharedReads<T> {
  const slots = new Map<string, Slot<T> & { readonly waiting: (() => void)[] }>();
  return {
    read(key, read) {
      const slot = slots.get(key) ?? { collecting: undefined, reading: false, waiting: [] };
      slots.set(key, slot);
      slot.collecting ??= (async () => {
        // One turn of the event loop for those who come together; then one at a time.
        await new Promise((resolve) => setImmediate(resolve));
        while (slot.reading) await new Promise<void>((resolve) => slot.waiting.push(resolve));
        slot.collecting = undefined;
        slot.reading = true;
        try {
          return await read();
        } finally {
          slot.reading = false;
          for (const wake of slot.waiting.splice(0)) wake();
          if (slot.collecting === undefined) slots.delete(key);
        }
      })();
      return slot.collecting;
    },
  };
}
