/**
 * Slows down whoever guesses passwords. A login takes a place before the password is looked at, and gives it back when it was
 * right: guesses that come in parallel count from their start, not from their answers.
 *
 * Three limits, each a number of places that come back one by one:
 *
 * - of a device name from an address: a few. It stops a device with a wrong password, which tries for ever, before it uses
 *   up the places of others behind the same address.
 * - of an address: many, for a whole fleet may be behind it.
 * - of a device name from everywhere: some. Whoever guesses from many addresses meets this one.
 *
 * Where a device has logged in before, only failures count, and those of other addresses don't: an attacker who knows its name
 * can't keep it out, and it may send many requests at once.
 *
 * Memory is bounded: beyond so many keys the oldest is forgotten.
 */
import { LRUCache } from 'lru-cache';

export interface LoginAttempt {
  /** Milliseconds to wait before the password is looked at. */
  readonly delayMs: number;
  /** To be called with what became of it: whether the password was right; undefined if that could not be found out. */
  end(right: boolean | undefined): void;
}

export interface LoginThrottle {
  /** @returns undefined when the wait would be too long: refuse without looking at the password. */
  attempt(login: { readonly username: string; readonly address: string }): LoginAttempt | undefined;
}

interface Limit {
  /** Failures at once. */
  readonly burst: number;
  /** Milliseconds until one more is allowed. */
  readonly everyMs: number;
}

const limits = {
  nameAtAddress: { burst: 20, everyMs: 5_000 },
  address: { burst: 1_000, everyMs: 20 },
  name: { burst: 50, everyMs: 100 },
} as const satisfies Record<string, Limit>;

export interface LoginThrottleOptions {
  /** A login that would have to wait for longer is refused at once. 0: none waits. */
  readonly maxDelayMs?: number;
  /** Keys that are remembered of each limit. */
  readonly maxKeys?: number;
  /** Epoch milliseconds. */
  readonly now?: () => number;
}

export function createLoginThrottle(options: LoginThrottleOptions = {}): LoginThrottle {
  const { maxDelayMs = 5_000, maxKeys = 50_000, now = Date.now } = options;
  const nameAtAddress = createPlaces(limits.nameAtAddress, maxKeys);
  const address = createPlaces(limits.address, maxKeys);
  const name = createPlaces(limits.name, maxKeys);
  const knownGood = new LRUCache<string, true>({ max: maxKeys });

  return {
    attempt(login) {
      const pair = JSON.stringify([login.username, login.address]);
      const isKnown = knownGood.has(pair);
      const atName: Place = [nameAtAddress, pair];
      const asked: readonly Place[] = [
        atName,
        [address, login.address],
        ...(isKnown ? [] : [[name, login.username] as const]),
      ];
      const at = now();
      const delayMs = Math.max(...asked.map(([places, key]) => places.waitMs(key, at)));
      if (delayMs > maxDelayMs) return undefined;
      let taken = isKnown ? asked.filter((place) => place !== atName) : asked;
      for (const [places, key] of taken) places.take(key, at);
      return {
        delayMs,
        end(right) {
          if (right === false) {
            if (isKnown) nameAtAddress.take(pair, now());
            knownGood.delete(pair);
          } else for (const [places, key] of taken) places.giveBack(key, now());
          taken = [];
          if (right === true) knownGood.set(pair, true);
        },
      };
    },
  };
}

type Place = readonly [Places, string];

interface Places {
  /** How long the next one waits for a place. */
  waitMs(key: string, at: number): number;
  take(key: string, at: number): void;
  giveBack(key: string, at: number): void;
}

/** The generic cell rate algorithm: of each key only the time at which all of its places are free again. */
function createPlaces({ burst, everyMs }: Limit, maxKeys: number): Places {
  const freeAt = new LRUCache<string, number>({ max: maxKeys });
  return {
    waitMs: (key, at) => Math.max(0, (freeAt.get(key) ?? 0) - (burst - 1) * everyMs - at),
    take(key, at) {
      freeAt.set(key, Math.max(at, freeAt.get(key) ?? 0) + everyMs);
    },
    giveBack(key, at) {
      // Set rather than deleted: to delete the last entry of an LRU cache takes as long as to clear all of it.
      freeAt.set(key, Math.max(at, (freeAt.get(key) ?? 0) - everyMs));
    },
  };
}
