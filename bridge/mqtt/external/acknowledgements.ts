/**
 * PUBACKs in the order in which the messages came, as MQTT asks for (5.0, section 4.6), however they become durable.
 * For one network connection: an acknowledgement that is late for its connection must not be written on the next one,
 * where the packet identifier means another message (section 4.4).
 */
export interface Acknowledgements {
  /** A message came. @returns what to call, once, when it may be acknowledged. */
  received(messageId: number): () => void;
  /** Messages that came and are not acknowledged yet. */
  count(): number;
  /** Calls back when there are fewer than `limit`, at once if there are. */
  whenBelow(limit: number, callback: () => void): void;
  /** The connection is gone: nothing is written any more. */
  close(): void;
}

/** @param write writes the PUBACKs of these messages, in this order. */
export function createAcknowledgements(write: (messageIds: readonly number[]) => void): Acknowledgements {
  const line: { readonly messageId: number; done: boolean }[] = [];
  let closed = false;
  let full: { readonly limit: number; readonly callback: () => void } | undefined;
  const callBack = (): void => {
    if (full === undefined || (!closed && line.length >= full.limit)) return;
    const { callback } = full;
    full = undefined;
    callback();
  };
  return {
    received(messageId) {
      const place = { messageId, done: false };
      line.push(place);
      return () => {
        place.done = true;
        if (closed || line[0] !== place) return;
        const first = line.findIndex((other) => !other.done);
        const ready = line.splice(0, first === -1 ? line.length : first);
        write(ready.map((other) => other.messageId));
        callBack();
      };
    },
    count: () => line.length,
    whenBelow(limit, callback) {
      full = { limit, callback };
      callBack();
    },
    close() {
      closed = true;
      line.length = 0;
      callBack();
    },
  };
}
