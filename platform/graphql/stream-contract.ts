/**
 * What the gateway and a subgraph say to each other of a stream beside GraphQL, in `extensions.stream` of the operation and of
 * each payload, so that one stream can serve many clients and be taken up again. A subgraph that doesn't know it ignores it.
 *
 * A resumable field takes `since: String` and its payloads have a `cursor`. It can be asked for in two phases:
 * - `live`: no snapshot. First a mark that says where it begins, then what happens behind it (behind `since`, if that is given).
 * - `catchUp`: what is, or what came behind `since`, one page at a time, then a mark, and the operation ends. The mark says
 *   where the next page begins, or up to which position everything has been sent.
 * Whoever has begun `live` and then catches up takes of `live` what lies behind the position of the last mark.
 */
export type StreamRequest =
  | { readonly phase: 'live' }
  | {
      readonly phase: 'catchUp';
      /** `next` of the mark of the page before; the first page if left out. */
      readonly page?: string;
    };

/** In `extensions.stream` of each payload of a request that has a phase. */
export interface StreamPlace {
  /** Decimal number of the change that it tells of; absent for a part of a snapshot. Grows along the stream. */
  readonly position?: string;
  /** Its `cursor`, whether that was selected or not. */
  readonly cursor: string;
  /** What the payload is the state of: a later one of the same key makes it obsolete. Absent where each payload counts. */
  readonly key?: string;
}

/** Alone in `extensions.stream` of a payload with `data: null`. */
export interface StreamMark {
  readonly mark: {
    /** Where the next page begins; absent when there is none. */
    readonly next?: string;
    /** Everything up to here has been sent. Absent if there is a next page. */
    readonly position?: string;
    readonly cursor?: string;
    /** Nothing can follow, now or later. */
    readonly ended?: true;
  };
}

/** The request in `extensions` of an operation; undefined if there is none. */
export function streamRequestOf(
  extensions: Readonly<Record<string, unknown>> | null | undefined,
): StreamRequest | undefined {
  const stream = extensions?.['stream'];
  if (typeof stream !== 'object' || stream === null) return undefined;
  const { phase, page } = stream as { phase?: unknown; page?: unknown };
  if (phase === 'live') return { phase };
  if (phase === 'catchUp') return { phase, ...(typeof page === 'string' ? { page } : {}) };
  return undefined;
}
