/**
 * What people see and decide of `dead_letters.dead_letters`. Consumers write the letters (`backbone/consumer/dead-letters.ts`)
 * and handle those that are to be replayed (`backbone/consumer/replay.ts`). A letter belongs to the tenant that its event names; one
 * that names none is nobody's here.
 */
import type { Sql } from '../../../platform/database/sql.js';

export type DeadLetterStatus = 'PENDING' | 'REPLAYING' | 'REPLAYED' | 'DISCARDED';

export interface DeadLetter {
  readonly id: string;
  readonly consumer: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly type: string | null;
  readonly cause: string;
  readonly stack: string | null;
  readonly attempts: number;
  readonly failedAt: Date;
  readonly status: DeadLetterStatus;
  readonly settledAt: Date | null;
}

/** Which letters; every condition that is there must hold. */
export interface DeadLetterSelection {
  readonly ids?: readonly string[] | undefined;
  readonly consumer?: string | undefined;
  readonly type?: string | undefined;
  /** How the cause begins. */
  readonly cause?: string | undefined;
  readonly statuses?: readonly DeadLetterStatus[] | undefined;
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
}

const columns = `id, consumer, topic, partition, "offset", key, value, headers, type, cause, stack, attempts, failed_at AS "failedAt",
  status::text AS status, settled_at AS "settledAt"`;

const conditions = `tenant = $1::text AND ($2::uuid[] IS NULL OR id = ANY($2)) AND ($3::text IS NULL OR consumer = $3)
  AND ($4::text IS NULL OR type = $4) AND ($5::text IS NULL OR starts_with(cause, $5)) AND ($6::text[] IS NULL OR status::text = ANY($6))
  AND ($7::timestamptz IS NULL OR failed_at >= $7) AND ($8::timestamptz IS NULL OR failed_at < $8)`;

function parametersOf(tenant: string, selection: DeadLetterSelection): readonly unknown[] {
  const { ids, consumer, type, cause, statuses, from, to } = selection;
  return [tenant, ids, consumer, type, cause, statuses, from, to].map((value) => value ?? null);
}

/** The tenant's letters, those that failed last first. */
export async function listDeadLetters(
  sql: Sql,
  tenant: string,
  query: DeadLetterSelection & {
    readonly limit: number;
    /** Only what comes behind this one: its time of failure in microseconds since 1970, and its id. */
    readonly after: { readonly failedAtUs: string; readonly id: string } | undefined;
  },
): Promise<readonly (DeadLetter & { readonly failedAtUs: string })[]> {
  return sql.query(
    `SELECT ${columns}, (extract(epoch FROM failed_at) * 1000000)::bigint::text AS "failedAtUs" FROM dead_letters.dead_letters
     WHERE ${conditions}
       AND ($10::bigint IS NULL OR ((extract(epoch FROM failed_at) * 1000000)::bigint, id) < ($10::bigint, $11::uuid))
     ORDER BY failed_at DESC, id DESC LIMIT $9::int`,
    [...parametersOf(tenant, query), query.limit, query.after?.failedAtUs ?? null, query.after?.id ?? null],
  );
}

/** The tenant's letter, or undefined. */
export async function findDeadLetter(sql: Sql, tenant: string, id: string): Promise<DeadLetter | undefined> {
  const rows = await sql.query<DeadLetter>(`SELECT ${columns} FROM dead_letters.dead_letters WHERE ${conditions}`, [
    ...parametersOf(tenant, { ids: [id] }),
  ]);
  return rows[0];
}

/** How many pending letters there are of each consumer, type and cause, the most first. */
export interface DeadLetterCause {
  readonly consumer: string;
  readonly type: string | null;
  readonly cause: string;
  readonly count: number;
  readonly firstFailedAt: Date;
  readonly lastFailedAt: Date;
}

export async function countCauses(sql: Sql, tenant: string, limit: number): Promise<readonly DeadLetterCause[]> {
  return sql.query<DeadLetterCause>(
    `SELECT consumer, type, cause, count(*)::int AS count, min(failed_at) AS "firstFailedAt", max(failed_at) AS "lastFailedAt"
     FROM dead_letters.dead_letters WHERE tenant = $1::text AND status = 'PENDING'
     GROUP BY consumer, type, cause ORDER BY count(*) DESC, consumer, cause LIMIT $2::int`,
    [tenant, limit],
  );
}

/** Moves the pending ones among the letters; those that were moved already stay as they are. @returns the ids of those that it moved. */
export async function movePending(
  transaction: Sql,
  tenant: string,
  selection: DeadLetterSelection,
  to: 'REPLAYING' | 'DISCARDED',
): Promise<readonly string[]> {
  const rows = await transaction.query<{ id: string }>(
    `UPDATE dead_letters.dead_letters
     SET status = $9::dead_letters.dead_letter_status, settled_at = CASE WHEN $9 = 'DISCARDED' THEN now() END
     WHERE ${conditions} AND status = 'PENDING' RETURNING id`,
    [...parametersOf(tenant, selection), to],
  );
  return rows.map(({ id }) => id);
}
