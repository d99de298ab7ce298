/** Reading projections.changes: what a subscription resumes from, and what fills the gaps of the feed. */
import { changeFrom, type Change, type Entity } from '../../../backbone/changes/change.js';
import type { Sql } from '../../../platform/database/sql.js';

export interface ChangePage {
  /** In order; at most `limit`. */
  readonly changes: readonly Change[];
  /** Number of the tenant's last change at that moment. */
  readonly clock: bigint;
  /** Number of the oldest change that is still kept; undefined if none is. */
  readonly oldest: bigint | undefined;
  /** Whether these are all that match, up to `clock`. */
  readonly isLast: boolean;
}

/** A page of a snapshot: what it holds of the entities behind those of the page before, up to this one (to the end if absent). */
export interface SnapshotPart {
  readonly upTo: string | undefined;
  /** Number of the tenant's last change that it holds. */
  readonly seq: bigint;
}

interface Row {
  readonly clock: bigint;
  readonly oldest: bigint | null;
  readonly seq: bigint | null;
  readonly entity: string;
  readonly entity_id: string;
  readonly version: bigint;
  readonly at: Date;
  readonly payload: unknown;
}

/** Changes of a tenant behind `behind`, of one kind or of one entity if that is asked for. */
export async function readChanges(
  sql: Sql,
  request: {
    readonly tenant: string;
    readonly behind: bigint;
    readonly limit: number;
    readonly entity?: Entity | undefined;
    readonly id?: string | undefined;
    /** Without the changes that these already hold. */
    readonly heldBy?: readonly SnapshotPart[];
  },
): Promise<ChangePage> {
  const { heldBy = [] } = request;
  // One statement, so that page, clock and oldest are of one moment.
  const rows = await sql.query<Row>(
    `SELECT k.clock, k.oldest, c.*
     FROM (SELECT coalesce((SELECT seq FROM projections.change_clocks WHERE tenant = $1), 0) AS clock,
                  (SELECT seq FROM projections.changes WHERE tenant = $1 ORDER BY seq LIMIT 1) AS oldest) k
     LEFT JOIN LATERAL (
       SELECT seq, entity, entity_id, version, at, payload FROM projections.changes
       WHERE tenant = $1 AND seq > $2::bigint AND ($3::text IS NULL OR entity = $3) AND ($4::text IS NULL OR entity_id = $4)
         AND (cardinality($6::text[]) = 0 OR seq > (
           SELECT part.seq FROM unnest($6::text[], $7::bigint[]) part(up_to, seq)
           WHERE part.up_to IS NULL OR entity_id <= part.up_to ORDER BY part.up_to NULLS LAST LIMIT 1))
       ORDER BY seq LIMIT $5
     ) c ON true ORDER BY c.seq`,
    [
      ...[request.tenant, request.behind.toString(), request.entity ?? null, request.id ?? null, request.limit],
      heldBy.map(({ upTo }) => upTo ?? null),
      heldBy.map(({ seq }) => seq.toString()),
    ],
  );
  const changes = rows.flatMap((row) =>
    row.seq === null
      ? []
      : [
          changeFrom({
            tenant: request.tenant,
            seq: row.seq,
            entity: row.entity,
            id: row.entity_id,
            version: row.version,
            at: row.at.toISOString(),
            payload: row.payload,
          }),
        ],
  );
  return {
    changes,
    clock: rows[0]?.clock ?? 0n,
    oldest: rows[0]?.oldest ?? undefined,
    isLast: changes.length < request.limit,
  };
}

/** Whether the log still has everything behind `position`. */
export function reaches(page: Pick<ChangePage, 'clock' | 'oldest'>, position: bigint): boolean {
  if (position > page.clock) return false;
  return position === page.clock || (page.oldest !== undefined && page.oldest <= position + 1n);
}

/** The number of the last change of each tenant; 0 before its first. */
export async function readClocks(sql: Sql, tenants: readonly string[]): Promise<ReadonlyMap<string, bigint>> {
  const rows = await sql.query<{ tenant: string; seq: bigint }>(
    'SELECT tenant, seq FROM projections.change_clocks WHERE tenant = ANY($1::text[])',
    [tenants],
  );
  const clocks = new Map(rows.map(({ tenant, seq }) => [tenant, seq]));
  return new Map(tenants.map((tenant) => [tenant, clocks.get(tenant) ?? 0n]));
}
