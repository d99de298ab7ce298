/**
 * Adds changes to projections.changes and tells the bus of them.
 * Invariant: `seq` comes from the tenant's row of projections.change_clocks, whose lock is taken last in the transaction
 * (several tenants in sorted order) and held until commit: so the numbers have no gap, and who sees n sees all below n.
 * The log is the outbox: a crash between commit and publish loses nothing, because readers fill gaps from the log.
 */
import type { EventBus } from '../../backbone/bus/event-bus.js';
import { topics } from '../../backbone/bus/topics.js';
import { encodeChange, type Change, type Entity } from '../../backbone/changes/change.js';
import type { Sql } from '../../platform/database/sql.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { ProjectorMetrics } from './projector-metrics.js';

type PendingOf<E extends Entity> = Omit<Change<E>, 'seq' | 'at'> & { readonly traceparent: string | undefined };

/** A change that has no number yet. */
export type PendingChange = { [E in Entity]: PendingOf<E> }[Entity];

export interface NumberedChange {
  readonly change: Change;
  readonly traceparent: string | undefined;
}

/** Numbers the changes, in their order within each tenant, and logs them. The last thing that a transaction does but for `event_log`. */
export async function appendChanges(sql: Sql, pending: readonly PendingChange[]): Promise<readonly NumberedChange[]> {
  if (pending.length === 0) return [];
  const behind = countBehind(pending.map(({ tenant }) => tenant));
  const rows = await sql.query<{ index: number; seq: bigint; at: Date }>(
    `WITH added AS (
       SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::json[])
         WITH ORDINALITY AS a(tenant, behind, entity, entity_id, version, payload, index)
     ), clocks AS (
       INSERT INTO projections.change_clocks AS c (tenant, seq)
       SELECT tenant, count(*) FROM added GROUP BY tenant ORDER BY tenant COLLATE "C"
       ON CONFLICT (tenant) DO UPDATE SET seq = c.seq + excluded.seq
       RETURNING tenant, seq
     ), numbered AS (
       SELECT a.*, k.seq - a.behind AS seq, clock_timestamp() AS at
       FROM added a JOIN clocks k USING (tenant)
     ), logged AS (
       INSERT INTO projections.changes (tenant, seq, entity, entity_id, version, at, payload)
       SELECT tenant, seq, entity, entity_id, version, at, payload FROM numbered
     )
     SELECT index::int AS index, seq, at FROM numbered`,
    [
      pending.map(({ tenant }) => tenant),
      behind,
      pending.map(({ entity }) => entity),
      pending.map(({ id }) => id),
      pending.map(({ version }) => version.toString()),
      pending.map(({ payload }) => JSON.stringify(payload)),
    ],
  );
  const numbered: NumberedChange[] = [];
  for (const { index, seq, at } of rows.sort((a, b) => a.index - b.index)) {
    const found = pending[index - 1];
    if (found === undefined) continue;
    const { traceparent, ...rest } = found;
    numbered.push({ change: { ...rest, seq, at: at.toISOString() }, traceparent });
  }
  return numbered;
}

/** For each entry, how many entries of the same tenant come behind it. */
function countBehind(tenants: readonly string[]): readonly number[] {
  const counts = new Map<string, number>();
  return tenants
    .toReversed()
    .map((tenant) => {
      const behind = counts.get(tenant) ?? 0;
      counts.set(tenant, behind + 1);
      return behind;
    })
    .reverse();
}

/** Publishes committed changes. Never rejects: who misses them finds them in the log. */
export async function publishChanges(
  options: { readonly bus: EventBus; readonly log: Logger; readonly metrics: ProjectorMetrics },
  changes: readonly NumberedChange[],
): Promise<void> {
  if (changes.length === 0) return;
  try {
    await options.bus.publish(
      topics.changes,
      changes.map(({ change, traceparent }) => encodeChange(change, traceparent)),
    );
  } catch (error) {
    options.metrics.unpublished.inc(changes.length);
    options.log.warn(
      { err: error, changes: changes.length },
      'changes are committed but could not be published; subscriptions get them from the change log',
    );
  }
}
