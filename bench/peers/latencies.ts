/** For programs that are asked how long messages took to arrive: answers with the quantiles of those since it was asked last. */
import { quantile, round } from '../section.js';

export interface Latencies {
  /** A message that was published at this moment, epoch milliseconds, is here. */
  arrived(publishedAt: number): void;
  /** Milliseconds, and how many messages they are of. */
  sinceLastAsked(): { readonly count: number; readonly p50: number; readonly p99: number };
}

export function createLatencies(): Latencies {
  let values: number[] = [];
  return {
    arrived: (publishedAt) => void values.push(Date.now() - publishedAt),
    sinceLastAsked() {
      const asked = values;
      values = [];
      return { count: asked.length, p50: round(quantile(asked, 0.5)), p99: round(quantile(asked, 0.99)) };
    },
  };
}
