/**
 * How attempts are shared out and their outcome written down: the queue on PostgreSQL.
 * Invariants: an attempt is under way while its `lease` is set and `due_at` has not passed; whoever finds it passed (its
 * process died) takes the delivery over, so that nothing is lost and a kill costs one attempt more, under the same id.
 * An outcome counts only under the lease that it was made under. Endpoints are locked (SKIP LOCKED) while their deliveries
 * are taken, so that all instances together keep to the limits of an endpoint. All times are the database's.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { inTransaction, type Sql } from '../../../../platform/database/sql.js';
import { afterAttempt, isEndpointsFault, type Circuit } from '../endpoint/circuit.js';
import type { PostResult } from '../endpoint/post.js';
import { pauseBeforeRetry } from './retry.js';

/** Attempts at once at an endpoint that works; one that has failed, or was never reached, gets one at a time. */
export const attemptsPerEndpoint = 4;

/** An endpoint that takes this long is no longer given slots beside those that are quick. */
const slowMs = 2_000;

/** A delivery that this process is to attempt now. */
export interface Claimed {
  readonly id: string;
  readonly tenant: string;
  readonly webhookId: string;
  readonly type: string;
  readonly payload: string;
  readonly lease: string;
  readonly triesLeft: number;
  /** How long it has been due, in milliseconds. */
  readonly waitedMs: number;
  readonly url: string;
  readonly secret: string;
  /** While the one before the last is still valid. */
  readonly previousSecret: string | null;
  /** Whether it decides on an open circuit. */
  readonly probe: boolean;
}

/**
 * Takes up to `limit` due deliveries, the endpoints that were served longest ago first.
 * `trusted`: of the endpoints whose last attempt succeeded, or of the others. The two have slots of their own, so that
 * endpoints that hang never hold up those that work.
 */
export async function claimDue(
  pool: pg.Pool,
  options: { readonly trusted: boolean; readonly limit: number; readonly leaseMs: number },
): Promise<readonly Claimed[]> {
  return inTransaction(pool, async (sql) => {
    const endpoints = await sql.query<{ id: string; probe: boolean }>(
      `SELECT e.webhook_id AS id, e.retry_at IS NOT NULL AS probe
       FROM actions.webhook_endpoints e JOIN actions.webhooks w ON w.id = e.webhook_id
       WHERE e.trusted = $1::boolean AND w.status = 'ACTIVE' AND (e.retry_at IS NULL OR e.retry_at <= now())
         AND EXISTS (SELECT 1 FROM actions.webhook_deliveries d WHERE d.webhook_id = e.webhook_id AND d.status = 'PENDING' AND d.due_at <= now())
       ORDER BY e.served_at NULLS FIRST LIMIT $2::int FOR UPDATE OF e SKIP LOCKED`,
      [options.trusted, options.limit],
    );
    if (endpoints.length === 0) return [];
    // A statement of its own: it must see what another instance has taken just before the locks were ours.
    const claimed = await sql.query<Claimed>(
      `WITH chosen AS (
         SELECT d.id, d.due_at, endpoint.probe
         FROM unnest($1::text[], $2::boolean[]) AS endpoint(id, probe) CROSS JOIN LATERAL (
           SELECT due.id, due.due_at FROM actions.webhook_deliveries due
           WHERE due.webhook_id = endpoint.id AND due.status = 'PENDING' AND due.due_at <= now()
           ORDER BY due.due_at
           LIMIT greatest(0, $3::int - (SELECT count(*)::int FROM actions.webhook_deliveries busy
             WHERE busy.webhook_id = endpoint.id AND busy.lease IS NOT NULL AND busy.status = 'PENDING' AND busy.due_at > now()))) d
         LIMIT $4::int)
       UPDATE actions.webhook_deliveries d
       SET lease = $5::uuid, due_at = now() + $6::float8 * interval '1 millisecond'
       FROM chosen, actions.webhooks w WHERE d.id = chosen.id AND w.id = d.webhook_id
       RETURNING d.id, d.tenant, d.webhook_id AS "webhookId", d.type, d.payload, d.lease, d.tries_left AS "triesLeft", w.url, w.secret,
         CASE WHEN w.previous_secret_expires_at > now() THEN w.previous_secret END AS "previousSecret", chosen.probe,
         extract(epoch FROM now() - chosen.due_at)::float8 * 1000 AS "waitedMs"`,
      [
        endpoints.map(({ id }) => id),
        endpoints.map(({ probe }) => probe),
        options.trusted ? attemptsPerEndpoint : 1,
        options.limit,
        randomUUID(),
        options.leaseMs,
      ],
    );
    // Nobody else probes while this one is under way, or until it counts as lost.
    await sql.query(
      `UPDATE actions.webhook_endpoints
       SET served_at = now(), retry_at = CASE WHEN retry_at IS NULL THEN NULL ELSE now() + $2::float8 * interval '1 millisecond' END
       WHERE webhook_id = ANY($1::text[])`,
      [[...new Set(claimed.map(({ webhookId }) => webhookId))], options.leaseMs],
    );
    return claimed;
  });
}

/** Takes this delivery, whatever its endpoint has done and though it is paused, if it is pending and nobody has it. */
export async function claimOne(transaction: Sql, id: string, leaseMs: number): Promise<Claimed | undefined> {
  const rows = await transaction.query<Claimed>(
    `UPDATE actions.webhook_deliveries d SET lease = $2::uuid, due_at = now() + $3::float8 * interval '1 millisecond'
     FROM actions.webhooks w WHERE d.id = $1::text AND w.id = d.webhook_id AND d.status = 'PENDING' AND d.due_at <= now()
     RETURNING d.id, d.tenant, d.webhook_id AS "webhookId", d.type, d.payload, d.lease, d.tries_left AS "triesLeft", w.url, w.secret,
       CASE WHEN w.previous_secret_expires_at > now() THEN w.previous_secret END AS "previousSecret", false AS probe, 0 AS "waitedMs"`,
    [id, randomUUID(), leaseMs],
  );
  return rows[0];
}

/** What became of a delivery by an attempt. */
export type Outcome = 'succeeded' | 'retried' | 'failed' | 'superseded';

/**
 * Writes down what an attempt came to: the delivery's end or its next attempt, and what it says about the endpoint.
 * `superseded`: the lease has passed to someone else, or the webhook is gone; then nothing was written.
 */
export async function recordAttempt(
  pool: pg.Pool,
  claimed: Pick<Claimed, 'id' | 'webhookId' | 'lease' | 'triesLeft' | 'probe'>,
  result: PostResult,
  schedule: readonly number[],
): Promise<Outcome> {
  const succeeded = result.error === undefined;
  const triesLeft = claimed.triesLeft - 1;
  const pauseMs = succeeded ? undefined : pauseBeforeRetry(schedule, triesLeft, result.retryAfterMs, Math.random());
  const status = succeeded ? 'SUCCEEDED' : pauseMs === undefined ? 'FAILED' : 'PENDING';
  return inTransaction(pool, async (sql) => {
    await recordEndpoint(sql, claimed, result);
    const rows = await sql.query(
      `UPDATE actions.webhook_deliveries
       SET status = $3::actions.delivery_status, attempts = attempts + 1, tries_left = $4::int, lease = NULL,
           due_at = now() + $5::float8 * interval '1 millisecond', last_attempt_at = now(), response_status = $6::int,
           latency_ms = $7::int, error = $8::text, completed_at = CASE WHEN $3 = 'PENDING' THEN NULL ELSE now() END
       WHERE id = $1::text AND lease = $2::uuid RETURNING 1 AS recorded`,
      [
        claimed.id,
        claimed.lease,
        status,
        Math.max(0, triesLeft),
        pauseMs ?? 0,
        result.status ?? null,
        result.latencyMs,
        result.error?.slice(0, 1_000) ?? null,
      ],
    );
    if (rows.length === 0) return 'superseded';
    return succeeded ? 'succeeded' : pauseMs === undefined ? 'failed' : 'retried';
  });
}

async function recordEndpoint(
  sql: Sql,
  { webhookId, probe }: Pick<Claimed, 'webhookId' | 'probe'>,
  result: PostResult,
): Promise<void> {
  const [row] = await sql.query<{ failures: number; openings: number; retryAt: Date | null; now: Date }>(
    `SELECT failures, openings, retry_at AS "retryAt", now() AS now FROM actions.webhook_endpoints WHERE webhook_id = $1::text FOR UPDATE`,
    [webhookId],
  );
  if (row === undefined) return;
  const circuit: Circuit = {
    failures: row.failures,
    openings: row.openings,
    retryAtMs: row.retryAt?.getTime() ?? null,
  };
  // An endpoint that refuses one message is there and answers: as good as a success, as far as the circuit goes.
  const answered = result.error === undefined || !isEndpointsFault(result.status);
  const next = afterAttempt(circuit, { succeeded: answered, probe }, row.now.getTime(), Math.random());
  await sql.query(
    `UPDATE actions.webhook_endpoints SET failures = $2::int, openings = $3::int, retry_at = $4::timestamptz, trusted = $5::boolean
     WHERE webhook_id = $1::text`,
    [
      webhookId,
      next.failures,
      next.openings,
      next.retryAtMs === null ? null : new Date(next.retryAtMs),
      answered && result.latencyMs < slowMs,
    ],
  );
}

/** Gives deliveries back whose attempt was broken off because this process stops: due at once, no attempt counted. */
export async function releaseClaims(sql: Sql, claims: readonly Pick<Claimed, 'id' | 'lease'>[]): Promise<void> {
  await sql.query(
    `UPDATE actions.webhook_deliveries d SET lease = NULL, due_at = now()
     FROM unnest($1::text[], $2::uuid[]) AS claim(id, lease) WHERE d.id = claim.id AND d.lease = claim.lease`,
    [claims.map(({ id }) => id), claims.map(({ lease }) => lease)],
  );
}

/** Gives up what has waited too long: its webhook was paused, or its circuit open. @returns how many. */
export async function expirePending(sql: Sql, limit: number): Promise<number> {
  const rows = await sql.query(
    `UPDATE actions.webhook_deliveries SET status = 'FAILED', lease = NULL, completed_at = now(),
       error = coalesce(error || '; ', '') || 'given up: it could not be delivered in time'
     WHERE id IN (SELECT id FROM actions.webhook_deliveries WHERE status = 'PENDING' AND expires_at <= now()
                  AND (lease IS NULL OR due_at <= now()) LIMIT $1::int FOR UPDATE SKIP LOCKED)
     RETURNING 1 AS expired`,
    [limit],
  );
  return rows.length;
}

/** Forgets deliveries that ended more than `days` ago. @returns how many. */
export async function purgeDeliveries(sql: Sql, days: number, limit: number): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM actions.webhook_deliveries WHERE id IN (
       SELECT id FROM actions.webhook_deliveries WHERE completed_at < now() - make_interval(days => $1::int) LIMIT $2::int)
     RETURNING 1 AS purged`,
    [days, limit],
  );
  return rows.length;
}
