/**
 * Who consumes which partition, in SQL. A lease has an owner until a moment, and an epoch that grows with each owner:
 * a commit names both, so that a former owner can't move the offset of a group that has gone on without it.
 */
import type { Sql } from '../../../platform/database/sql.js';
import type { TopicPartition } from '../event-bus.js';

export interface Lease extends TopicPartition {
  readonly epoch: bigint;
  /** Offset of the next record to consume. */
  readonly committed: bigint;
}

export interface Membership {
  readonly group: string;
  readonly member: string;
  readonly topics: readonly string[];
}

/** Makes the leases of a new group, beginning at the oldest record or at the end. */
export async function createLeases(
  sql: Sql,
  group: string,
  topics: readonly string[],
  from: 'earliest' | 'latest',
): Promise<void> {
  await sql.query(
    `INSERT INTO bus.leases (group_id, topic, partition, committed)
     SELECT $1, topic, partition, CASE WHEN $3 THEN next_offset ELSE low_offset END FROM bus.partitions WHERE topic = ANY($2::text[])
     ORDER BY topic, partition ON CONFLICT DO NOTHING`,
    [group, topics, from === 'latest'],
  );
}

/** Says that the member lives, forgets those that don't. @returns how many live. */
export async function joinGroup(sql: Sql, { group, member }: Membership, ttlMs: number): Promise<number> {
  await sql.query(
    `INSERT INTO bus.members (group_id, member, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3::double precision / 1000))
     ON CONFLICT (group_id, member) DO UPDATE SET expires_at = EXCLUDED.expires_at`,
    [group, member, ttlMs],
  );
  await sql.query('DELETE FROM bus.members WHERE group_id = $1 AND expires_at < now()', [group]);
  const [row] = await sql.query<{ live: number }>('SELECT count(*)::int AS live FROM bus.members WHERE group_id = $1', [
    group,
  ]);
  return row?.live ?? 1;
}

/** Prolongs the member's leases. @returns those that are still its own. */
export async function renewLeases(sql: Sql, { group, member, topics }: Membership, ttlMs: number): Promise<Lease[]> {
  return sql.query<Lease>(
    `UPDATE bus.leases SET expires_at = now() + make_interval(secs => $4::double precision / 1000)
     WHERE group_id = $1 AND owner = $2 AND topic = ANY($3::text[]) AND expires_at > now()
     RETURNING topic, partition, epoch, committed`,
    [group, member, topics, ttlMs],
  );
}

/** Takes at most `count` leases that are free or whose owner is gone. */
export async function acquireLeases(
  sql: Sql,
  { group, member, topics }: Membership,
  count: number,
  ttlMs: number,
): Promise<Lease[]> {
  return sql.query<Lease>(
    `WITH free AS (
       SELECT topic, partition FROM bus.leases
       WHERE group_id = $1 AND topic = ANY($3::text[]) AND (owner IS NULL OR expires_at < now())
       ORDER BY topic, partition LIMIT $5 FOR UPDATE SKIP LOCKED)
     UPDATE bus.leases l SET owner = $2, epoch = l.epoch + 1, expires_at = now() + make_interval(secs => $4::double precision / 1000)
     FROM free WHERE l.group_id = $1 AND l.topic = free.topic AND l.partition = free.partition
     RETURNING l.topic, l.partition, l.epoch, greatest(l.committed,
       (SELECT low_offset FROM bus.partitions p WHERE p.topic = l.topic AND p.partition = l.partition)) AS committed`,
    [group, member, topics, ttlMs, count],
  );
}

/** Moves the group's offset. @returns false if the lease is no longer this owner's: nothing was moved. */
export async function commitOffset(
  sql: Sql,
  { group, member }: Membership,
  lease: Lease,
  offset: bigint,
): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE bus.leases SET committed = $6 WHERE group_id = $1 AND topic = $2 AND partition = $3 AND owner = $4 AND epoch = $5 RETURNING 1 AS moved`,
    [group, lease.topic, lease.partition, member, lease.epoch, offset],
  );
  return rows.length === 1;
}

/** Gives one lease back. */
export async function releaseLease(sql: Sql, { group, member }: Membership, lease: Lease): Promise<void> {
  await sql.query(
    `UPDATE bus.leases SET owner = NULL, expires_at = NULL WHERE group_id = $1 AND topic = $2 AND partition = $3 AND owner = $4 AND epoch = $5`,
    [group, lease.topic, lease.partition, member, lease.epoch],
  );
}

/** Gives everything back, and says that the member is gone. */
export async function leaveGroup(sql: Sql, { group, member }: Membership): Promise<void> {
  await sql.query('UPDATE bus.leases SET owner = NULL, expires_at = NULL WHERE group_id = $1 AND owner = $2', [
    group,
    member,
  ]);
  await sql.query('DELETE FROM bus.members WHERE group_id = $1 AND member = $2', [group, member]);
}

/** Records that each group has not committed yet, by group and topic. */
export async function groupLag(sql: Sql, group?: string): Promise<{ group: string; topic: string; lag: number }[]> {
  return sql.query(
    `SELECT l.group_id AS "group", l.topic, sum(p.next_offset - l.committed)::double precision AS lag
     FROM bus.leases l JOIN bus.partitions p USING (topic, partition)
     WHERE $1::text IS NULL OR l.group_id = $1 GROUP BY 1, 2`,
    [group ?? null],
  );
}
