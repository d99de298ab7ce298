/**
 * A subgraph over HTTP that may move: each fetch goes to where it is now. When it has moved, what is under way at the old
 * address is waited for, and its connections are closed behind it.
 */
import { createHttpSubgraph, type HttpSubgraph, type HttpSubgraphOptions } from './http-subgraph.js';

export function createMovingSubgraph(
  options: Omit<HttpSubgraphOptions, 'url'> & { readonly url: () => string },
): HttpSubgraph {
  let url: string | undefined;
  let current: HttpSubgraph | undefined;
  const leaving = new Set<HttpSubgraph>();
  const now = (): HttpSubgraph => {
    const wanted = options.url();
    if (current && url === wanted) return current;
    const former = current;
    if (former) {
      leaving.add(former);
      void former.leave().then(() => leaving.delete(former));
    }
    url = wanted;
    return (current = createHttpSubgraph({ ...options, url: wanted }));
  };
  const all = (): HttpSubgraph[] => [...leaving, ...(current ? [current] : [])];
  return {
    name: options.name,
    fetch: (request) => now().fetch(request),
    async leave() {
      await Promise.all(all().map((each) => each.leave()));
    },
    async close() {
      await Promise.all(all().map((each) => each.close()));
    },
  };
}
