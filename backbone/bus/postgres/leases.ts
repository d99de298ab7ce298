/**
 * Who consumes which partition, in SQL. A lease has an owner until a moment, and an epoch that grows with each owner:
 * a commit names both, so that a former owner can't move the offset of a group that has gone on without it.
 * Statements that touch several rows lock them in the order of (topic, partition), or skip what is locked: none waits in
 * a circle.
 */
import type { GroupLag } from '../bus-metrics.js';
import type { TopicPartition } from '../event-bus.js';
import type { Statement, Statements } from './statement.js';

/** A partition that is ours until it expires. */
export interface Lease extends TopicPartition {
  readonly epoch: bigint;
  /** Offset of the next record to consume. */
  readonly committed: bigint;
  /** Offset of the oldest record that is kept; above `committed` if records went before the group had them. */
  readonly low: bigint;
}

/** One member of a group. All members of a group subscribe to the same topics. */
export interface Membership {
  readonly group: string;
  readonly member: string;
  readonly topics: readonly string[];
}

const createMissing: Statement = {
  name: 'create_leases',
  text: `INSERT INTO bus.leases (group_id, topic, partition, committed)
     SELECT $1, topic, partition, CASE WHEN $3::boolean THEN next_offset ELSE low_offset END
     FROM bus.partitions WHERE topic = ANY($2::text[]) ORDER BY topic, partition ON CONFLICT DO NOTHING`,
};

/** Makes the leases that are missing, beginning at the oldest record or at the end. */
export async function createLeases(
  statements: Statements,
  { group, topics }: Membership,
  from: 'earliest' | 'latest',
): Promise<void> {
  await statements.run(createMissing, [group, topics, from === 'latest']);
}

const beat: Statement = {
  name: 'beat',
  text: `INSERT INTO bus.members (group_id, member, expires_at)
     VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3::float8 / 1000))
     ON CONFLICT (group_id, member) DO UPDATE SET expires_at = EXCLUDED.expires_at`,
};

const readGroup: Statement = {
  name: 'read_group',
  text: `SELECT
       (SELECT coalesce(array_agg(member ORDER BY member), '{}') FROM bus.members WHERE group_id = $1 AND expires_at > now()) AS live,
       (SELECT count(*)::int FROM bus.members WHERE group_id = $1 AND expires_at <= now()) AS dead,
       (SELECT count(*)::int FROM bus.leases WHERE group_id = $1 AND topic = ANY($2::text[])) AS partitions`,
};

const forgetDead: Statement = {
  name: 'forget_dead',
  text: `DELETE FROM bus.members WHERE (group_id, member) IN (
       SELECT group_id, member FROM bus.members WHERE group_id = $1 AND expires_at <= now() FOR UPDATE SKIP LOCKED)`,
};

export interface Group {
  /** Names of the members that live, in order. */
  readonly live: readonly string[];
  readonly partitions: number;
}

/** Says that the member lives for `ttlMs` more, and forgets those that don't. @returns the group as it is now. */
export async function beatInGroup(
  statements: Statements,
  { group, member, topics }: Membership,
  ttlMs: number,
): Promise<Group> {
  await statements.run(beat, [group, member, ttlMs], ttlMs);
  const { rows } = await statements.run<Group & { dead: number }>(readGroup, [group, topics], ttlMs);
  const [found] = rows;
  if (found === undefined) return { live: [member], partitions: 0 };
  if (found.dead > 0) await statements.run(forgetDead, [group], ttlMs);
  return found;
}

const leaseColumns = `l.topic, l.partition, l.epoch, l.committed,
       (SELECT p.low_offset FROM bus.partitions p WHERE p.topic = l.topic AND p.partition = l.partition) AS low`;

// clock_timestamp(), because now() is older by the time that the statement waited for a lock.
const renew: Statement = {
  name: 'renew',
  text: `WITH mine AS MATERIALIZED (
       SELECT topic, partition FROM bus.leases
       WHERE group_id = $1 AND owner = $2 AND topic = ANY($3::text[]) AND expires_at > clock_timestamp()
       ORDER BY topic, partition FOR UPDATE)
     UPDATE bus.leases l SET expires_at = clock_timestamp() + make_interval(secs => $4::float8 / 1000)
     FROM mine WHERE l.group_id = $1 AND l.topic = mine.topic AND l.partition = mine.partition
     RETURNING ${leaseColumns}`,
};

/** Prolongs the member's leases by `ttlMs` from now. @returns those that are still its own. */
export async function renewLeases(
  statements: Statements,
  { group, member, topics }: Membership,
  ttlMs: number,
): Promise<readonly Lease[]> {
  return (await statements.run<Lease>(renew, [group, member, topics, ttlMs], ttlMs)).rows;
}

const acquire: Statement = {
  name: 'acquire',
  text: `WITH free AS MATERIALIZED (
       SELECT topic, partition FROM bus.leases
       WHERE group_id = $1 AND topic = ANY($3::text[]) AND (owner IS NULL OR expires_at <= clock_timestamp())
       ORDER BY topic, partition LIMIT $5 FOR UPDATE SKIP LOCKED)
     UPDATE bus.leases l SET owner = $2, epoch = l.epoch + 1,
       expires_at = clock_timestamp() + make_interval(secs => $4::float8 / 1000)
     FROM free WHERE l.group_id = $1 AND l.topic = free.topic AND l.partition = free.partition
     RETURNING ${leaseColumns}`,
};

/** Takes at most `count` leases that are free or whose owner let them expire. */
export async function acquireLeases(
  statements: Statements,
  { group, member, topics }: Membership,
  count: number,
  ttlMs: number,
): Promise<readonly Lease[]> {
  return (await statements.run<Lease>(acquire, [group, member, topics, ttlMs, count], ttlMs)).rows;
}

/** How far one partition is consumed. */
export interface Progress {
  readonly lease: Lease;
  /** Offset of the next record to consume. */
  readonly offset: bigint;
}

// greatest(): of two commits of one owner that overtake each other, the further one stays.
const commit: Statement = {
  name: 'commit',
  text: `WITH done AS MATERIALIZED (
       SELECT l.topic, l.partition, d."offset" FROM bus.leases l
       JOIN unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[]) AS d(topic, partition, epoch, "offset")
         ON l.topic = d.topic AND l.partition = d.partition AND l.epoch = d.epoch
       WHERE l.group_id = $1 AND l.owner = $2 ORDER BY l.topic, l.partition FOR UPDATE OF l)
     UPDATE bus.leases l SET committed = greatest(l.committed, done."offset")
     FROM done WHERE l.group_id = $1 AND l.topic = done.topic AND l.partition = done.partition
     RETURNING l.topic, l.partition`,
};

/** Moves the group's offsets. @returns the partitions that were moved; the others are no longer this owner's. */
export async function commitOffsets(
  statements: Statements,
  { group, member }: Membership,
  progress: readonly Progress[],
): Promise<readonly TopicPartition[]> {
  const { rows } = await statements.run<TopicPartition>(commit, [
    group,
    member,
    progress.map(({ lease }) => lease.topic),
    progress.map(({ lease }) => lease.partition),
    progress.map(({ lease }) => String(lease.epoch)),
    progress.map(({ offset }) => String(offset)),
  ]);
  return rows;
}

const release: Statement = {
  name: 'release',
  text: `UPDATE bus.leases SET owner = NULL, expires_at = NULL
     WHERE group_id = $1 AND topic = $2 AND partition = $3 AND owner = $4 AND epoch = $5`,
};

/** Gives one lease back. */
export async function releaseLease(
  statements: Statements,
  { group, member }: Membership,
  lease: Lease,
  deadlineMs: number,
): Promise<void> {
  await statements.run(release, [group, lease.topic, lease.partition, member, String(lease.epoch)], deadlineMs);
}

const releaseAll: Statement = {
  name: 'release_all',
  text: `WITH mine AS MATERIALIZED (
       SELECT topic, partition FROM bus.leases WHERE group_id = $1 AND owner = $2 ORDER BY topic, partition FOR UPDATE)
     UPDATE bus.leases l SET owner = NULL, expires_at = NULL
     FROM mine WHERE l.group_id = $1 AND l.topic = mine.topic AND l.partition = mine.partition`,
};

const leave: Statement = { name: 'leave', text: 'DELETE FROM bus.members WHERE group_id = $1 AND member = $2' };

/** Says that the member is gone, so that the others take larger shares. What it holds stays its own. */
export async function leaveMembers(
  statements: Statements,
  { group, member }: Membership,
  deadlineMs: number,
): Promise<void> {
  await statements.run(leave, [group, member], deadlineMs);
}

/** Gives everything back, and says that the member is gone. */
export async function leaveGroup(statements: Statements, membership: Membership, deadlineMs: number): Promise<void> {
  await statements.run(releaseAll, [membership.group, membership.member], deadlineMs);
  await leaveMembers(statements, membership, deadlineMs);
}

const readLag: Statement = {
  name: 'lag',
  text: `SELECT l.group_id AS "group", l.topic,
       sum(p.next_offset - greatest(l.committed, p.low_offset))::float8 AS lag
     FROM bus.leases l JOIN bus.partitions p USING (topic, partition)
     WHERE $1::text IS NULL OR l.group_id = $1 GROUP BY 1, 2`,
};

/** Records that each group, or the one named, has not committed yet, by group and topic. */
export async function groupLag(statements: Statements, group?: string): Promise<readonly GroupLag[]> {
  return (await statements.run<GroupLag>(readLag, [group ?? null], 5_000)).rows;
}
