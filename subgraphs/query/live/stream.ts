/**
 * One subscription: what is, or what was missed since the cursor, then what happens.
 * Invariant: neither a gap nor a repeat. The feed is watched BEFORE the snapshot or the log is read, so that whatever
 * commits later than the reading is in the queue; and of the queue, what the reading already had is dropped.
 */
import type { Change, Entity } from '../../../backbone/changes/change.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { QueryMetrics } from '../query-metrics.js';
import { cancellable } from '../../../platform/lifecycle/cancellable.js';
import type { ChangeFeed } from './change-feed.js';
import { reaches, readChanges } from './change-log.js';
import type { PendingChanges } from './pending-changes.js';
import { decodeResumeCursor, encodeResumeCursor, type Seen, type StreamName } from './resume-cursor.js';

/** Changes read from the log at once, when a subscription catches up. */
const pageSize = 200;

export interface LiveOptions {
  readonly sql: Sql;
  readonly feed: ChangeFeed;
  readonly metrics: QueryMetrics;
}

/** What a snapshot held, when its last payload has been sent. */
export interface SnapshotEnd {
  /** Everything up to this change is in it. */
  readonly position: bigint;
  /** Parts of it were read later: up to this change, `holds` tells which changes it has. */
  readonly settled: bigint;
  readonly holds: (change: Change) => boolean;
  /** Nothing can follow. */
  readonly isEnd: boolean;
}

/** A snapshot that was read in one statement. */
export function snapshotAt(position: bigint, isEnd = false): SnapshotEnd {
  return { position, settled: position, holds: () => false, isEnd };
}

/** Payloads of a snapshot, each with what a client that has seen it has seen. */
export type Snapshot<Payload> = AsyncGenerator<
  { readonly seen: Seen; readonly payload: Payload },
  SnapshotEnd,
  undefined
>;

export interface StreamSpec<E extends Entity, Payload> {
  readonly name: StreamName;
  readonly tenant: string;
  readonly since: string | null | undefined;
  readonly entity: E;
  /** Only changes of the entity with this id. */
  readonly id?: string;
  readonly pending: PendingChanges;
  /** Called after the feed is watched. A stream without anything to show begins with `snapshotAt(clock)`. */
  readonly snapshot: (signal: AbortSignal) => Snapshot<Payload>;
  /** Which of them; all if left out. */
  readonly matches?: (change: Change<E>) => boolean;
  /** What to send for a change. */
  readonly payloadOf: (change: Change<E>) => Payload;
  /** What to do with a cursor that the log no longer reaches. */
  readonly tooOld: 'snapshot' | 'error';
  /** Whether nothing can follow this change. */
  readonly isEnd?: (change: Change<E>) => boolean;
  /** Whether nothing can follow what is in the log now. */
  readonly hasEnded?: () => Promise<boolean>;
}

/** A payload of a subscription. */
export type WithCursor<Payload> = Payload & { readonly cursor: string };

/** Opens the stream. It ends when it is returned; it throws FleetgraphError for a bad or expired cursor and for a client that is too slow. */
export function openStream<E extends Entity, Payload extends object>(
  { sql, feed, metrics }: LiveOptions,
  spec: StreamSpec<E, Payload>,
): AsyncGenerator<WithCursor<Payload>, void, undefined> {
  const { tenant, name, pending } = spec;
  const ours = (change: Change): Change<E> | undefined => {
    if (change.entity !== spec.entity || (spec.id !== undefined && change.id !== spec.id)) return undefined;
    // The comparison above is what makes it one of E; TypeScript can't narrow by a type parameter.
    const candidate = change as Change<E>;
    return spec.matches?.(candidate) === false ? undefined : candidate;
  };
  const withCursor = (payload: Payload, seen: Seen): WithCursor<Payload> => ({
    ...payload,
    cursor: encodeResumeCursor(tenant, name, seen),
  });

  /** Sends what the log has behind the position. Returns where it ended, or undefined if the log doesn't reach that far back. */
  async function* replay(from: bigint): AsyncGenerator<WithCursor<Payload>, bigint | 'end' | undefined, undefined> {
    let position = from;
    for (;;) {
      // Before the page is read: so whatever is not in the page comes into the queue.
      if (pending.overflowed()) pending.reset();
      const page = await readChanges(sql, {
        tenant,
        behind: position,
        limit: pageSize,
        entity: spec.entity,
        id: spec.id,
      });
      if (!reaches(page, position)) return undefined;
      for (const change of page.changes) {
        position = change.seq;
        const wanted = ours(change);
        if (wanted === undefined) continue;
        yield withCursor(spec.payloadOf(wanted), wanted.seq);
        if (spec.isEnd?.(wanted) === true) return 'end';
      }
      if (!page.isLast) continue;
      position = page.clock;
      if (!pending.overflowed()) return position;
    }
  }

  async function* snapshot(signal: AbortSignal): AsyncGenerator<WithCursor<Payload>, SnapshotEnd, undefined> {
    const items = spec.snapshot(signal);
    for (;;) {
      const item = await items.next();
      if (item.done === true) return item.value;
      yield withCursor(item.value.payload, item.value.seen);
    }
  }

  /** Catches up with what has happened. Returns what is known then, or undefined if nothing can follow. */
  async function* begin(signal: AbortSignal): AsyncGenerator<WithCursor<Payload>, SnapshotEnd | undefined, undefined> {
    const seen = decodeResumeCursor(tenant, name, spec.since);
    if (typeof seen === 'bigint') {
      // Asked before the log is read, so that the end itself is among what is read.
      const hasEnded = (await spec.hasEnded?.()) ?? false;
      const position = yield* replay(seen);
      if (position === 'end') return undefined;
      if (position !== undefined) return hasEnded ? undefined : snapshotAt(position);
      if (spec.tooOld === 'error')
        throw new FleetgraphError(
          'NOT_FOUND',
          `What came behind the cursor in "since" is no longer kept. Subscribe without "since", and read what you missed from ${name === 'events' ? 'the query "events"' : 'Device.telemetry'}.`,
          { field: 'since' },
        );
    }
    const end = yield* snapshot(signal);
    return end.isEnd ? undefined : end;
  }

  return cancellable(async function* (signal) {
    const watch = await feed.watch(tenant, spec.id, {
      change(change) {
        if (ours(change) !== undefined) pending.push(change);
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
      const start = yield* begin(signal);
      if (start === undefined) return;
      for (;;) {
        const next = await pending.take(signal);
        if (next === undefined) return;
        const change = ours(next);
        if (change === undefined || change.seq <= start.position) continue;
        if (change.seq <= start.settled && start.holds(next)) continue;
        yield withCursor(spec.payloadOf(change), change.seq < start.settled ? 'partOfSnapshot' : change.seq);
        if (spec.isEnd?.(change) === true) return;
      }
    } finally {
      if (pending.overflowed()) metrics.overflows.inc({ stream: name });
      metrics.subscriptions.dec({ stream: name });
      watch.stop();
    }
  });
}
