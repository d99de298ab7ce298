import type { Sql } from '../../platform/database/sql.js';

/**
 * Waits until no other transaction holds the stream, and holds it until the end of this one. Read what the decision is made
 * on after it. Unlike a row lock it gives the transaction no id while it waits: the ids along the stream grow with its
 * revisions then, and `append` needn't refuse whoever had to wait. For that it must come before anything that writes.
 */
export async function lockStream(transaction: Sql, tenant: string, stream: string): Promise<void> {
  await transaction.query(`SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))::text AS locked`, [
    JSON.stringify(['stream', tenant, stream]),
  ]);
}
