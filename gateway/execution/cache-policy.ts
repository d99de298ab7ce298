/**
 * How long an answer may be kept, and by whom: as short as the part that may be kept shortest, and for its client alone if any part
 * is. Each subgraph says it in the `cache-control` of its responses, which its server makes of `@cacheControl`; one that says nothing
 * lets nobody keep anything.
 * Source: https://www.apollographql.com/docs/apollo-server/performance/caching#using-with-federation
 */
export interface CachePolicy {
  /** Takes the header of a subgraph's response. */
  restrict(cacheControl: string | undefined): void;
  /** The header of an answer of all of it; undefined if it may not be kept. */
  header(): string | undefined;
  /** For how many seconds anybody may be given it, if each part has said so in so many words; 0: not at all. */
  publicSeconds(): number;
}

export function createCachePolicy(): CachePolicy {
  let seconds: number | undefined;
  let isPrivate = false;
  let isPublic = true;
  return {
    restrict(cacheControl = '') {
      // What may not be kept at all stays so.
      if (seconds === 0) return;
      if (cacheControl === '') {
        seconds = 0;
        return;
      }
      const directives = cacheControl
        .toLowerCase()
        .split(',')
        .map((part) => part.trim());
      const isNever = directives.includes('no-store') || directives.includes('no-cache');
      const given = directives.map((directive) => /^max-age="?(\d{1,9})"?$/.exec(directive)?.[1]).find(Boolean);
      const own = isNever || given === undefined ? 0 : Number(given);
      seconds = seconds === undefined ? own : Math.min(seconds, own);
      isPrivate ||= directives.includes('private');
      isPublic &&= directives.includes('public');
    },
    header: () =>
      seconds === undefined || seconds === 0 ? undefined : `max-age=${seconds}, ${isPrivate ? 'private' : 'public'}`,
    publicSeconds: () => (isPublic && !isPrivate ? (seconds ?? 0) : 0),
  };
}
