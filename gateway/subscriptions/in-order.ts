/**
 * Work that runs side by side and whose results come out in the order in which it was given. So much runs at once; what comes
 * beyond waits in line, which is bounded: whoever gives it can't be held back.
 */
export class InOrder<T> {
  readonly #options: InOrderOptions<T>;
  /** Begun and not come out yet, oldest first. */
  #begun: Place<T>[] = [];
  #line: Work<T>[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void)[] = [];

  constructor(options: InOrderOptions<T>) {
    this.#options = options;
  }

  /** Gives work. @returns false if the line is full: the work is not done. */
  add(work: Work<T>): boolean {
    if (this.#failure) return true;
    if (this.#begun.length >= this.#options.maxRunning) {
      if (this.#line.length >= this.#options.maxWaiting) return false;
      this.#line.push(work);
    } else {
      this.#begin(work);
      this.#flush();
    }
    return true;
  }

  /** Resolves when everything has come out; rejects with the first failure, behind which nothing comes out any more. */
  async settled(): Promise<void> {
    while (this.#begun.length > 0 && !this.#failure) await new Promise<void>((resolve) => this.#wake.push(resolve));
    if (this.#failure) throw this.#failure.error;
  }

  #begin(work: Work<T>): void {
    const place: Place<T> = { outcome: undefined };
    this.#begun.push(place);
    try {
      const result = work();
      if (result instanceof Promise) {
        const settle = (outcome: Outcome<T>): void => {
          place.outcome = outcome;
          this.#flush();
        };
        result.then(
          (value) => settle({ value }),
          (error: unknown) => settle({ error }),
        );
      } else place.outcome = { value: result };
    } catch (error) {
      place.outcome = { error };
    }
  }

  /** Gives out what is at its turn. */
  #flush(): void {
    for (let first = this.#begun[0]?.outcome; first && !this.#failure; first = this.#begun[0]?.outcome) {
      if ('error' in first) this.#fail(first.error);
      else {
        this.#begun.shift();
        this.#options.deliver(first.value);
        const next = this.#line.shift();
        if (next) this.#begin(next);
      }
    }
    if (this.#begun.length > 0) return;
    for (const wake of this.#wake.splice(0)) wake();
  }

  #fail(error: unknown): void {
    this.#failure = { error };
    this.#begun = [];
    this.#line = [];
    this.#options.failed?.(error);
  }
}

export interface InOrderOptions<T> {
  /** How much runs at once. */
  readonly maxRunning: number;
  /** How much waits in line, at most. */
  readonly maxWaiting: number;
  readonly deliver: (result: T) => void;
  /** Called once, with the first failure, when everything before it has come out. */
  readonly failed?: (error: unknown) => void;
}

export type Work<T> = () => T | Promise<T>;
type Outcome<T> = { readonly value: T } | { readonly error: unknown };

interface Place<T> {
  outcome: Outcome<T> | undefined;
}
