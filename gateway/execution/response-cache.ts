/**
 * Answers that anybody may have, kept for as long as the subgraphs say: those whose every part says `public` and for how long. What is
 * for one caller is never in here, nor what may or may not be: a part that does not say `public` in so many words.
 * It is off unless it is given room.
 */
import { LRUCache } from 'lru-cache';
import type { CacheObserver } from '../gateway-metrics.js';

export interface KeptResponse {
  /** JSON of the data. */
  readonly data: string;
  /** Whole seconds for which it may still be kept; at least 1. */
  readonly seconds: number;
}

export interface ResponseCache {
  get(key: string): KeptResponse | undefined;
  set(key: string, data: string, seconds: number): void;
}

/** @param maxBytes of keys and answers, in memory */
export function createResponseCache(maxBytes: number, observer: CacheObserver): ResponseCache {
  const kept = new LRUCache<string, { readonly data: string; readonly untilMs: number }>({
    maxSize: maxBytes,
    // A character is two bytes at most.
    sizeCalculation: ({ data }, key) => 2 * (data.length + key.length) + 200,
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
      return { data: found.data, seconds };
    },
    set(key, data, seconds) {
      kept.set(key, { data, untilMs: performance.now() + seconds * 1_000 });
    },
  };
}
