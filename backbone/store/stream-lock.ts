import type { Sql } from '../../platform/database/sql.js';

/**
 * Waits until no other transaction holds the stream, and holds it until the end of this one. Read what the decision is made
 * on after it. Unlike a row lock it gives the transaction no id while it waits: the ids along the stream grow with its
 * revisions then, and `append` needn't refuse whoever had to wait. For that it must come before anything that writes.
 */
export async function lockStream(transaction: Sql, tenant: string, stream: string): Promise<void> {
  await lockStreams(transaction, [{ tenant, stream }]);
}

/** As `lockStream`, for several: in the order of their keys, so that two transactions never wait for each other. */
export async function lockStreams(
  transaction: Sql,
  streams: readonly { readonly tenant: string; readonly stream: string }[],
): Promise<void> {
  const keys = new Set(streams.map(({ tenant, stream }) => JSON.stringify(['stream', tenant, stream])));
  await transaction.query(
    `SELECT pg_advisory_xact_lock(key)::text AS locked
     FROM (SELECT DISTINCT hashtextextended(k, 0) AS key FROM unnest($1::text[]) k ORDER BY key) AS keys`,
    [[...keys]],
  );
}

/** As `lockStream`, without waiting. @returns whether nobody else held the stream; if so, it is held now. */
export async function tryLockStream(transaction: Sql, tenant: string, stream: string): Promise<boolean> {
  const [row] = await transaction.query<{ locked: boolean }>(
    'SELECT pg_try_advisory_xact_lock(hashtextextended($1::text, 0)) AS locked',
    [JSON.stringify(['stream', tenant, stream])],
  );
  return row?.locked ?? false;
}
