/**
 * One stream: what is, or what was missed since the cursor, then what happens.
 * Invariant: neither a gap nor a repeat. The feed is watched BEFORE the snapshot or the log is read, so that whatever
 * commits later than the reading is in the queue; and of the queue, what the reading already had is dropped.
 *
 * A client of its own follows the stream as a whole. A gateway, which shares it among many, asks for its two phases apart
 * (platform/graphql/stream-contract.ts).
 */
import type { Entity } from '../../../backbone/changes/change.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { StreamMark, StreamPlace, StreamRequest } from '../../../platform/graphql/stream-contract.js';
import { cancellable } from '../../../platform/lifecycle/cancellable.js';
import type { ConsistencyOptions } from '../consistency/wait-for-event.js';
import {
  beginningOf,
  catchUpPage,
  changeOf,
  decodePlace,
  encodePlace,
  type CatchUpItem,
  type CatchUpPlace,
  type CatchUpSpec,
} from './catch-up.js';
import { readClocks } from './change-log.js';
import type { PendingChanges } from './pending-changes.js';
import { encodeResumeCursor } from './resume-cursor.js';

/** `timeoutMs`: how long what was made a moment ago is waited for. */
export type LiveOptions = ConsistencyOptions;

export interface StreamSpec<E extends Entity, Payload> extends CatchUpSpec<E, Payload> {
  /** Where changes wait for a client that is busy. */
  readonly pending: () => PendingChanges;
  /** Whether a payload tells the state of its entity, so that a later one makes it obsolete. */
  readonly isState: boolean;
}

/** A payload of a subscription. `place` is for gateways; the graph has no such field. */
export type WithCursor<Payload> = Payload & { readonly cursor: string; readonly place: StreamPlace };

export interface Stream<Payload> {
  /**
   * It ends when it is returned; it throws FleetgraphError for a bad or expired cursor, for a client that is too slow, and
   * NOT_FOUND for a subject that does not exist.
   */
  follow(): AsyncGenerator<WithCursor<Payload>, void, undefined>;
  /** One phase of it, with marks. Throws as `follow` does. */
  phase(request: StreamRequest): AsyncGenerator<WithCursor<Payload> | StreamMark, void, undefined>;
}

export function createStream<E extends Entity, Payload extends object>(
  { sql, feed, metrics }: LiveOptions,
  spec: StreamSpec<E, Payload>,
): Stream<Payload> {
  const { tenant, name } = spec;
  const itemOf = ({ payload, seen, id }: CatchUpItem<Payload>): WithCursor<Payload> => {
    const cursor = encodeResumeCursor(tenant, name, seen);
    return {
      ...payload,
      cursor,
      place: {
        cursor,
        ...(seen === 'partOfSnapshot' ? {} : { position: seen.toString() }),
        ...(spec.isState && id !== undefined ? { key: id } : {}),
      },
    };
  };

  /** Catches up from a place. Returns up to which change everything has been sent; undefined if nothing can follow. */
  async function* catchUp(
    from: CatchUpPlace,
    pending: PendingChanges,
    signal: AbortSignal,
  ): AsyncGenerator<WithCursor<Payload>, bigint | undefined, undefined> {
    let place = from;
    for (;;) {
      // Before the page is read: so whatever is not in the page comes into the queue.
      if (pending.overflowed()) pending.reset();
      const { items, end } = await catchUpPage(sql, spec, place, signal);
      for (const item of items) yield itemOf(item);
      if ('next' in end) place = end.next;
      else if (end.hasEnded) return undefined;
      else if (!pending.overflowed()) return end.position;
      else place = { kind: 'replay', behind: end.position, parts: [] };
    }
  }

  /** What happens, from the moment when the feed is watched; `begin` says behind which change. */
  function live<Item>(
    begin: (
      pending: PendingChanges,
      signal: AbortSignal,
    ) => AsyncGenerator<Item | WithCursor<Payload>, bigint | undefined, undefined>,
  ): AsyncGenerator<Item | WithCursor<Payload>, void, undefined> {
    return cancellable(async function* (signal) {
      const pending = spec.pending();
      const watch = await feed.watch(tenant, spec.id, {
        change(change) {
          if (changeOf(spec, change) !== undefined) pending.push(change);
        },
        lost: () =>
          pending.fail(
            new FleetgraphError(
              'UNAVAILABLE',
              'The stream was interrupted. Subscribe again with the last "cursor" you got as "since".',
            ),
          ),
      });
      metrics.subscriptions.inc({ stream: name });
      try {
        const position = yield* begin(pending, signal);
        if (position === undefined) return;
        for (;;) {
          const next = await pending.take(signal);
          if (next === undefined) return;
          const change = changeOf(spec, next);
          if (change === undefined || change.seq <= position) continue;
          yield itemOf({ payload: spec.payloadOf(change), seen: change.seq, id: change.id });
          if (spec.isEnd?.(change) === true) return;
        }
      } finally {
        if (pending.overflowed()) metrics.overflows.inc({ stream: name });
        metrics.subscriptions.dec({ stream: name });
        watch.stop();
      }
    });
  }

  const markAt = (position: bigint): StreamMark['mark'] => ({
    position: position.toString(),
    cursor: encodeResumeCursor(tenant, name, position),
  });

  /** Where the live phase begins is where the client is, or now. */
  async function* beginLive(
    pending: PendingChanges,
    signal: AbortSignal,
  ): AsyncGenerator<WithCursor<Payload> | StreamMark, bigint | undefined, undefined> {
    const place = beginningOf(spec);
    await spec.requireSubject?.();
    const now = (await readClocks(sql, [tenant])).get(tenant) ?? 0n;
    yield { mark: markAt(place.kind === 'replay' && place.behind < now ? place.behind : now) };
    return place.kind === 'replay' ? yield* catchUp(place, pending, signal) : now;
  }

  async function* onePage(
    page: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<WithCursor<Payload> | StreamMark, void, undefined> {
    const place = page === undefined ? beginningOf(spec) : decodePlace(tenant, name, page);
    const { items, end } = await catchUpPage(sql, spec, place, signal);
    for (const item of items) yield itemOf(item);
    if ('next' in end) yield { mark: { next: encodePlace(tenant, name, end.next) } };
    else yield { mark: { ...markAt(end.position), ...(end.hasEnded ? { ended: true } : {}) } };
  }

  return {
    follow: () => live<never>((pending, signal) => catchUp(beginningOf(spec), pending, signal)),
    phase: (request) =>
      request.phase === 'live' ? live<StreamMark>(beginLive) : cancellable((signal) => onePage(request.page, signal)),
  };
}
