/**
 * Read-your-writes: waits until the read side has applied the event that a mutation ended with. The projector writes the
 * event's id to projections.event_log in the transaction that applies it; so once the id is there, the effect is.
 */
import { eventIdOf } from '../../../backbone/events/consistency-token.js';
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import type { ChangeFeed } from '../live/change-feed.js';
import type { QueryMetrics } from '../query-metrics.js';

export interface ConsistencyOptions {
  readonly sql: Sql;
  readonly feed: ChangeFeed;
  readonly metrics: QueryMetrics;
  /** Longest wait, in milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Resolves when the event that the token names is applied.
 * @throws FleetgraphError BAD_USER_INPUT when it is no token; UNAVAILABLE when the wait is longer than `timeoutMs`.
 */
export async function waitForToken(options: ConsistencyOptions, tenant: string, token: string): Promise<void> {
  if (await waitForEvent(options, tenant, eventIdOf(token))) return;
  throw new FleetgraphError(
    'UNAVAILABLE',
    `The read side has not caught up with the mutation of your consistency token within ${options.timeoutMs} ms. Send the request again, or leave the header x-fleetgraph-consistency out to read what is there.`,
  );
}

/** Whether the event is applied, now or within `timeoutMs`. */
export async function waitForEvent(options: ConsistencyOptions, tenant: string, eventId: string): Promise<boolean> {
  const { sql, feed, metrics, timeoutMs } = options;
  if (await isApplied(sql, tenant, eventId)) {
    metrics.consistencyWaits.inc({ outcome: 'at_once' });
    return true;
  }
  let settle: (isThere: boolean) => void = () => undefined;
  const arrival = new Promise<boolean>((resolve) => (settle = resolve));
  const timer = setTimeout(() => settle(false), timeoutMs);
  // Watched before it is looked for again: it comes either before the look or after the watch.
  const watch = await feed.watch(tenant, eventId, { change: () => settle(true), lost: () => settle(false) });
  try {
    const isThere = (await isApplied(sql, tenant, eventId)) || (await arrival);
    metrics.consistencyWaits.inc({ outcome: isThere ? 'waited' : 'timed_out' });
    return isThere;
  } finally {
    clearTimeout(timer);
    watch.stop();
  }
}

async function isApplied(sql: Sql, tenant: string, eventId: string): Promise<boolean> {
  const rows = await sql.query('SELECT 1 FROM projections.event_log WHERE id = $1::uuid AND tenant = $2', [
    eventId,
    tenant,
  ]);
  return rows.length > 0;
}
