/**
 * Answers that anybody may have, kept for as long as the subgraphs say: those whose every part says `public` and for how long. What is
 * for one caller is never in here, nor what may or may not be: a part that does not say `public` in so many words.
 * It is off unless it is given room.
 */
import { LRUCache } from 'lru-cache';
import type { CacheObserver } from '../gateway-metrics.js';

export interface KeptResponse {
  /** JSON: `{"data":…}`. */
  readonly body: Buffer;
  /** Whole seconds for which it may still be kept; at least 1. */
  readonly seconds: number;
}

export interface ResponseCache {
  get(key: string): KeptResponse | undefined;
  set(key: string, body: Buffer, seconds: number): void;
}

/** @param maxBytes of keys and answers, in memory */
export function createResponseCache(maxBytes: number, observer: CacheObserver): ResponseCache {
  const kept = new LRUCache<string, { readonly body: Buffer; readonly untilMs: number }>({
    maxSize: maxBytes,
    // A character of a key is two bytes at most.
    sizeCalculation: ({ body }, key) => body.length + 2 * key.length + 200,
    dispose(_value, _key, reason) {
      if (reason === 'evict') observer.evicted();
    },
  });
  return {
    get(key) {
      const found = kept.get(key);
      const seconds = found === undefined ? 0 : Math.floor((found.untilMs - performance.now()) / 1_000);
      if (found === undefined || seconds < 1) {
        kept.delete(key);
        observer.miss();
        return undefined;
      }
      observer.hit();
      return { body: found.body, seconds };
    },
    set(key, body, seconds) {
      kept.set(key, { body, untilMs: performance.now() + seconds * 1_000 });
    },
  };
}
