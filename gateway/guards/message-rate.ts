/**
 * How many messages one connection may send: a bucket that holds ten seconds' worth and fills again evenly. Whoever begins many
 * operations at once is let through; whoever goes on and on is not.
 */
export interface MessageRate {
  /** Takes one message. @returns whether there was room for it. */
  take(nowMs: number): boolean;
}

const secondsHeld = 10;

// One for each of ten thousands of sockets: two numbers, and no timer.
export class TokenBucket implements MessageRate {
  readonly #perMs: number;
  readonly #capacity: number;
  #left: number;
  #filledAtMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perMs = perSecond / 1_000;
    this.#capacity = perSecond * secondsHeld;
    this.#left = this.#capacity;
    this.#filledAtMs = nowMs;
  }

  take(nowMs: number): boolean {
    this.#left = Math.min(this.#capacity, this.#left + (nowMs - this.#filledAtMs) * this.#perMs);
    this.#filledAtMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
