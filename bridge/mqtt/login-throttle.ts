/**
 * Slows down whoever guesses passwords: each failure from an address doubles the wait of its next answer. The table is
 * bounded; when it is full the oldest entry goes, which costs a guesser more addresses than it gains.
 */
export interface LoginThrottle {
  /** Milliseconds that an answer to this address is held back. */
  delayMs(address: string): number;
  failed(address: string): void;
  succeeded(address: string): void;
}

const firstDelayMs = 50;
const maxDelayMs = 5_000;
const forgetAfterMs = 60_000;

export function createLoginThrottle(options: { maxAddresses?: number; now?: () => number } = {}): LoginThrottle {
  const { maxAddresses = 10_000, now = Date.now } = options;
  const failures = new Map<string, { count: number; at: number }>();
  const current = (address: string) => {
    const entry = failures.get(address);
    return entry && now() - entry.at < forgetAfterMs ? entry : undefined;
  };
  return {
    delayMs(address) {
      const entry = current(address);
      return entry ? Math.min(maxDelayMs, firstDelayMs * 2 ** (entry.count - 1)) : 0;
    },
    failed(address) {
      const count = (current(address)?.count ?? 0) + 1;
      failures.delete(address);
      failures.set(address, { count, at: now() });
      const [oldest] = failures.keys();
      if (failures.size > maxAddresses && oldest !== undefined) failures.delete(oldest);
    },
    succeeded(address) {
      failures.delete(address);
    },
  };
}
