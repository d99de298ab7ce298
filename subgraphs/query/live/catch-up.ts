/**
 * Catching up, a page at a time: what is (a snapshot), or what was missed since a cursor (a replay of the change log). Nothing
 * is kept between two pages but where the next one begins, so neither a transaction nor a large result waits for a slow client.
 *
 * The pages of a long snapshot are of different moments. Behind the last one the log is replayed from the moment of the first,
 * without the changes that the page of their device already had: so the end is of one moment again.
 */
import { z } from 'zod';
import type { Change, Entity } from '../../../backbone/changes/change.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { reaches, readChanges, type SnapshotPart } from './change-log.js';
import { decodeResumeCursor, type Seen, type StreamName } from './resume-cursor.js';

/** Changes read from the log at once. */
const pageSize = 200;

/** A page of what is, read in one statement. */
export interface SnapshotPage<Payload> {
  readonly payloads: readonly Payload[];
  /** Number of the tenant's last change that it holds. */
  readonly seq: bigint;
  /** Id of the last entity on it, if there are more behind. */
  readonly upTo?: string | undefined;
  /** Nothing can follow. */
  readonly isEnd?: boolean;
}

/** What is caught up with. */
export interface CatchUpSpec<E extends Entity, Payload> {
  readonly name: StreamName;
  readonly tenant: string;
  readonly since: string | null | undefined;
  readonly entity: E;
  /** Only changes of the entity with this id. */
  readonly id?: string;
  /** What the stream is about must exist: throws NOT_FOUND. A snapshot asks for itself, and only if it finds nothing. */
  readonly requireSubject?: () => Promise<void>;
  /** Which of them; all if left out. */
  readonly matches?: (change: Change<E>) => boolean;
  /** What to send for a change. */
  readonly payloadOf: (change: Change<E>) => Payload;
  /** The page behind the entity with this id. A stream without anything to show gives an empty one. */
  readonly snapshot: (behind: string | undefined, signal: AbortSignal) => Promise<SnapshotPage<Payload>>;
  /** What to do with a cursor that the log no longer reaches. */
  readonly tooOld: 'snapshot' | 'error';
  /** Whether nothing can follow this change. */
  readonly isEnd?: (change: Change<E>) => boolean;
  /** Whether nothing can follow what is in the log now. */
  readonly hasEnded?: () => Promise<boolean>;
}

/** Where a page begins. `parts`: the pages of the snapshot that came before. */
export type CatchUpPlace =
  | { readonly kind: 'snapshot'; readonly parts: readonly SnapshotPart[] }
  | { readonly kind: 'replay'; readonly behind: bigint; readonly parts: readonly SnapshotPart[] };

export interface CatchUpItem<Payload> {
  readonly payload: Payload;
  readonly seen: Seen;
  /** Id of the entity, for a change. */
  readonly id?: string;
}

export interface CatchUpPage<Payload> {
  readonly items: readonly CatchUpItem<Payload>[];
  /** Where it goes on; or up to which change everything has been sent. */
  readonly end: { readonly next: CatchUpPlace } | { readonly position: bigint; readonly hasEnded: boolean };
}

/** Where the cursor in `since` says to begin. @throws FleetgraphError BAD_USER_INPUT if it isn't one of this stream. */
export function beginningOf({
  tenant,
  name,
  since,
}: Pick<CatchUpSpec<Entity, unknown>, 'tenant' | 'name' | 'since'>): CatchUpPlace {
  const seen = decodeResumeCursor(tenant, name, since);
  return typeof seen === 'bigint' ? { kind: 'replay', behind: seen, parts: [] } : { kind: 'snapshot', parts: [] };
}

/** The change that a stream is about, if it is. */
export function changeOf<E extends Entity>(
  spec: Pick<CatchUpSpec<E, unknown>, 'entity' | 'id' | 'matches'>,
  change: Change,
): Change<E> | undefined {
  if (change.entity !== spec.entity || (spec.id !== undefined && change.id !== spec.id)) return undefined;
  // The comparison above is what makes it one of E; TypeScript can't narrow by a type parameter.
  const candidate = change as Change<E>;
  return spec.matches?.(candidate) === false ? undefined : candidate;
}

/** Reads a page. @throws FleetgraphError NOT_FOUND when the log no longer has what comes behind the cursor. */
export async function catchUpPage<E extends Entity, Payload>(
  sql: Sql,
  spec: CatchUpSpec<E, Payload>,
  place: CatchUpPlace,
  signal: AbortSignal,
): Promise<CatchUpPage<Payload>> {
  return place.kind === 'snapshot' ? snapshotPage(spec, place.parts, signal) : replayPage(sql, spec, place, signal);
}

async function snapshotPage<E extends Entity, Payload>(
  spec: CatchUpSpec<E, Payload>,
  before: readonly SnapshotPart[],
  signal: AbortSignal,
): Promise<CatchUpPage<Payload>> {
  const { payloads, seq, upTo, isEnd = false } = await spec.snapshot(before.at(-1)?.upTo, signal);
  const isWhole = before.length === 0 && upTo === undefined;
  const items = payloads.map((payload, index) => ({
    payload,
    // Only with the last payload has a client seen all of it, and only if it is all of one moment.
    seen: isWhole && index === payloads.length - 1 ? seq : ('partOfSnapshot' as const),
  }));
  const parts = [...before, { upTo, seq }];
  if (upTo !== undefined) return { items, end: { next: { kind: 'snapshot', parts } } };
  const [first] = parts;
  if (isWhole || first === undefined || first.seq === seq) return { items, end: { position: seq, hasEnded: isEnd } };
  return { items, end: { next: { kind: 'replay', behind: first.seq, parts } } };
}

async function replayPage<E extends Entity, Payload>(
  sql: Sql,
  spec: CatchUpSpec<E, Payload>,
  { behind, parts }: CatchUpPlace & { readonly kind: 'replay' },
  signal: AbortSignal,
): Promise<CatchUpPage<Payload>> {
  // Asked before the log is read, so that the end itself is among what is read.
  const hasEnded = (await spec.hasEnded?.()) ?? false;
  const { tenant, entity, id } = spec;
  const [page] = await Promise.all([
    readChanges(sql, { tenant, behind, limit: pageSize, entity, id, heldBy: parts }),
    spec.requireSubject?.(),
  ]);
  if (!reaches(page, behind)) {
    if (spec.tooOld === 'snapshot' || parts.length > 0) return snapshotPage(spec, [], signal);
    throw new FleetgraphError(
      'NOT_FOUND',
      `What came behind the cursor in "since" is no longer kept. Subscribe without "since", and read what you missed from ${spec.name === 'events' ? 'the query "events"' : 'Device.telemetry'}.`,
      { field: 'since' },
    );
  }
  const settled = parts.at(-1)?.seq ?? 0n;
  const items: CatchUpItem<Payload>[] = [];
  for (const change of page.changes) {
    const wanted = changeOf(spec, change);
    if (wanted === undefined) continue;
    // Up to there some pages had more than others: who has seen a part of it can't be told from who has seen all.
    items.push({
      payload: spec.payloadOf(wanted),
      seen: change.seq < settled ? 'partOfSnapshot' : change.seq,
      id: change.id,
    });
    if (spec.isEnd?.(wanted) === true) return { items, end: { position: change.seq, hasEnded: true } };
  }
  if (page.isLast) return { items, end: { position: page.clock, hasEnded } };
  return { items, end: { next: { kind: 'replay', behind: page.changes.at(-1)?.seq ?? behind, parts } } };
}

// At most 18 digits: always within a bigint of PostgreSQL.
const digits = z.string().regex(/^\d{1,18}$/);
const token = z.object({
  t: z.string(),
  k: z.string(),
  /** Behind this change of the log; absent while in the snapshot. */
  b: digits.optional(),
  p: z.array(z.tuple([z.string().nullable(), digits])),
});

/** The place as text that a client may hold, bound to the tenant and the stream. */
export function encodePlace(tenant: string, stream: StreamName, place: CatchUpPlace): string {
  const value: z.infer<typeof token> = {
    t: tenant,
    k: stream,
    ...(place.kind === 'replay' ? { b: place.behind.toString() } : {}),
    p: place.parts.map(({ upTo, seq }) => [upTo ?? null, seq.toString()]),
  };
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** @throws FleetgraphError BAD_USER_INPUT if it isn't a place of this stream. */
export function decodePlace(tenant: string, stream: StreamName, text: string): CatchUpPlace {
  const parsed = parse(text);
  if (parsed?.t !== tenant || parsed.k !== stream)
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `This is not a page of ${stream} in this tenant. Begin with the first page.`,
    );
  const parts = parsed.p.map(([upTo, seq]) => ({ upTo: upTo ?? undefined, seq: BigInt(seq) }));
  return parsed.b === undefined ? { kind: 'snapshot', parts } : { kind: 'replay', behind: BigInt(parsed.b), parts };
}

function parse(text: string): z.infer<typeof token> | undefined {
  try {
    return token.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))).data;
  } catch {
    return undefined;
  }
}
