/**
 * What is known of each text, within bounds. A text that was seen once waits in a small part of the cache and moves to the large
 * part when it comes again: a flood of texts of which none comes twice only pushes itself out, and what clients use stays.
 */
import { LRUCache } from 'lru-cache';
import type { CacheObserver } from '../gateway-metrics.js';

export interface OperationCache<Value extends object> {
  get(text: string): Value | undefined;
  /** The same, and its place stays as it is. */
  peek(text: string): Value | undefined;
  /** @param text is not there */
  set(text: string, value: Value): void;
  /** The texts that came more than once, those used last first. */
  used(): string[];
}

export interface CacheBounds {
  /** Characters of texts that came more than once, and of those that came once. A plan is some ten times its text. */
  readonly usedCharacters: number;
  readonly newCharacters: number;
}

const defaults: CacheBounds = { usedCharacters: 8_000_000, newCharacters: 1_000_000 };

export function createOperationCache<Value extends object>(
  bounds = defaults,
  observer?: CacheObserver,
): OperationCache<Value> {
  const bounded = (maxSize: number) =>
    new LRUCache<string, Value>({
      maxSize,
      sizeCalculation: (_value, text) => text.length + 200,
      dispose(_value, _text, reason) {
        if (reason === 'evict') observer?.evicted();
      },
    });
  const [used, fresh] = [bounded(bounds.usedCharacters), bounded(bounds.newCharacters)];
  return {
    get(text) {
      const known = used.get(text);
      if (known) return known;
      const again = fresh.get(text);
      if (!again) return undefined;
      fresh.delete(text);
      used.set(text, again);
      return again;
    },
    peek: (text) => used.peek(text) ?? fresh.peek(text),
    set(text, value) {
      // One that the former supergraph knew keeps its place.
      if (used.has(text)) used.set(text, value);
      else fresh.set(text, value);
    },
    used: () => [...used.keys()],
  };
}
