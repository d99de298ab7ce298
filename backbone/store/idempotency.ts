/**
 * Makes a mutation safe to retry: the reply is kept under the caller's key, in the transaction of the mutation itself.
 * Invariant: for one (tenant, operation, key), the work is committed at most once, and every call gets its reply.
 */
import { createHash } from 'node:crypto';
import type { Sql } from '../../platform/database/sql.js';
import { FleetgraphError } from '../../platform/errors.js';

/** Each owner of a write model has a table of its own. */
export type IdempotencyTable = 'device.idempotency_keys' | 'actions.idempotency_keys';

export interface IdempotentRequest {
  readonly tenant: string;
  readonly operation: string;
  /** What the client chose; 1 to 200 characters. */
  readonly key: string;
  /** The input without the key: the same key with another input is refused. */
  readonly request: unknown;
}

/**
 * Runs `work` unless its reply is known. A concurrent call with the same key waits until the first has committed.
 * @returns the reply, and whether it is that of a former call. It has been through JSON: dates are strings.
 * @throws FleetgraphError BAD_USER_INPUT for a key that is too long, CONFLICT for a key that came with another input.
 */
export async function once<T>(
  transaction: Sql,
  table: IdempotencyTable,
  { tenant, operation, key, request }: IdempotentRequest,
  work: () => Promise<T>,
): Promise<{ readonly response: T; readonly replayed: boolean }> {
  if (key.length < 1 || key.length > 200) {
    throw new FleetgraphError('BAD_USER_INPUT', 'An idempotencyKey has 1 to 200 characters.', {
      field: 'input.idempotencyKey',
    });
  }
  const requestHash = createHash('sha256').update(canonicalJson(request)).digest('hex');
  // The lock, not the row, is what the second caller waits on: the first has no row to show until it commits.
  await transaction.query(`SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))::text AS locked`, [
    JSON.stringify([table, tenant, operation, key]),
  ]);
  const [known] = await transaction.query<{ request_hash: string; response: T }>(
    `SELECT request_hash, response FROM ${table} WHERE tenant = $1::text AND operation = $2::text AND key = $3::text`,
    [tenant, operation, key],
  );
  if (known !== undefined) {
    if (known.request_hash !== requestHash) {
      throw new FleetgraphError(
        'CONFLICT',
        `The idempotencyKey "${key}" was used for another ${operation}. Use a new key for a new request.`,
        { field: 'input.idempotencyKey' },
      );
    }
    return { response: known.response, replayed: true };
  }
  const response = await work();
  await transaction.query(
    `INSERT INTO ${table} (tenant, operation, key, request_hash, response, created_at)
     VALUES ($1::text, $2::text, $3::text, $4::text, $5::jsonb, now())`,
    [tenant, operation, key, requestHash, JSON.stringify(response)],
  );
  return { response, replayed: false };
}

/** Forgets replies older than `days`. @returns how many. */
export async function purgeIdempotencyKeys(sql: Sql, table: IdempotencyTable, days = 7): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM ${table} WHERE created_at < now() - make_interval(days => $1::int) RETURNING 1 AS gone`,
    [days],
  );
  return rows.length;
}

/** JSON with the keys of every object in order, so that the same input always has the same text. */
function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (_key, part: unknown) =>
      typeof part === 'object' && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    ) ?? 'undefined'
  );
}
