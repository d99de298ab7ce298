/**
 * What waits for a client that is slow. Of payloads with a key the latest is kept; the others are all kept, up to a limit.
 * Payloads come out in rounds: first what waits, then what came meanwhile, each in its order. So an entity that changes all
 * the time can't keep the others from being sent, and the cursor of a payload still says that everything before it has come.
 */
import type { StreamPayload } from './payload.js';

export interface QueueLimits {
  readonly payloads: number;
  readonly bytes: number;
}

// One for each slow client, of which there may be thousands: methods on a prototype, not closures.
export class PayloadQueue {
  readonly #limits: QueueLimits;
  #round: StreamPayload[] = [];
  #next = new Map<string | number, StreamPayload>();
  #bytes = 0;
  #count = 0;
  /** Payloads that were replaced by a later one. */
  conflated = 0;
  /** Whether payloads were thrown away because there were too many: what is left has a hole. */
  overflowed = false;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#round.length + this.#next.size;
  }

  /** Adds a payload. An overflow empties the queue: a stream with a hole is worth nothing. */
  push(payload: StreamPayload): void {
    if (this.overflowed) return;
    this.#count += 1;
    const key = payload.key ?? this.#count;
    const replaced = this.#next.get(key);
    if (replaced) {
      this.conflated += 1;
      this.#bytes -= replaced.bytes.length;
      // Deleted first, so that the map's order is that of the latest payloads.
      this.#next.delete(key);
    }
    this.#next.set(key, payload);
    this.#bytes += payload.bytes.length;
    if (this.size > this.#limits.payloads || this.#bytes > this.#limits.bytes) {
      this.clear();
      this.overflowed = true;
    }
  }

  shift(): StreamPayload | undefined {
    if (this.#round.length === 0 && this.#next.size > 0) {
      this.#round = [...this.#next.values()].reverse();
      this.#next = new Map();
    }
    const payload = this.#round.pop();
    if (payload) this.#bytes -= payload.bytes.length;
    return payload;
  }

  /** Empties it and begins anew, after an overflow. */
  clear(): void {
    this.#round = [];
    this.#next = new Map();
    this.#bytes = 0;
    this.overflowed = false;
  }
}
