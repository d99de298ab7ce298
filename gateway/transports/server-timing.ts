/**
 * Where the time of a request went, for the developer tools of browsers: all of it, and each fetch from a subgraph.
 * Source: https://www.w3.org/TR/server-timing/
 */
import type { FetchTiming } from '../request-context.js';

/** A header has room for so many. */
const maxFetches = 30;

/** @param startedAt of the request, as `performance.now()` says it */
export function serverTiming(startedAt: number, fetches: readonly FetchTiming[]): string {
  const each = fetches
    .slice(0, maxFetches)
    .map(({ subgraph, startedAt: at, ms }) => entry(subgraph, ms, `from ${(at - startedAt).toFixed(1)} ms`));
  return [entry('gateway', performance.now() - startedAt), ...each].join(', ');
}

function entry(name: string, ms: number, description?: string): string {
  const text = `${name.replace(/[^\w-]/g, '_')};dur=${ms.toFixed(1)}`;
  return description === undefined ? text : `${text};desc="${description}"`;
}
