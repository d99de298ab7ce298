/**
 * One member of a consumer group: holds its fair share of the partitions by lease, reads them, hands batches to the
 * handler (one at a time for each partition, several partitions side by side) and commits behind it.
 * Invariant: a batch is handed out only under a lease that this member believes to hold by its own clock, and an offset
 * moves only under the lease of that batch. Losing a lease aborts the signal of the running batch.
 */
import type { Sql } from '../../../platform/database/sql.js';
import { messageOf } from '../../../platform/errors.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { BatchHandler, BusRecord, Subscription } from '../event-bus.js';
import {
  acquireLeases,
  commitOffset,
  createLeases,
  joinGroup,
  leaveGroup,
  releaseLease,
  renewLeases,
  type Lease,
  type Membership,
} from './leases.js';
import { readRecords } from './records.js';
import type { WakeUp } from './wake-up.js';

export interface GroupMemberOptions {
  readonly sql: Sql;
  readonly wakeUp: WakeUp;
  readonly log: Logger;
  readonly membership: Membership;
  readonly from: 'earliest' | 'latest';
  readonly maxBatchSize: number;
  /** A member that is silent for this long is taken for dead. */
  readonly leaseTtlMs: number;
  readonly pollIntervalMs: number;
  readonly onConsumed: (topic: string, records: number) => void;
  readonly onLeasesChanged: (kind: 'acquired' | 'released' | 'lost', count: number) => void;
}

interface Owned {
  readonly lease: Lease;
  /** Offset of the next record to hand out. */
  next: bigint;
  /** By our own clock (`performance.now()`), until when the lease is surely ours. */
  validUntilMs: number;
  readonly lost: AbortController;
  running: Promise<void> | undefined;
  surplus: boolean;
}

/** Joins the group; resolves once it has tried to get its first partitions. */
export async function joinAsMember(options: GroupMemberOptions, handler: BatchHandler): Promise<Subscription> {
  const { sql, wakeUp, log, membership, leaseTtlMs } = options;
  const stopped = new AbortController();
  const owned = new Map<string, Owned>();
  const keyOf = ({ topic, partition }: { topic: string; partition: number }) => `${topic}/${partition}`;
  const bell = wakeUp.bell(membership.topics);
  let failure: unknown;

  const drop = (entry: Owned, reason: string): void => {
    owned.delete(keyOf(entry.lease));
    entry.lost.abort(new Error(reason));
  };

  /** Renews what is ours, forgets what is not, and moves towards the fair share. */
  const balance = async (): Promise<void> => {
    const askedAtMs = performance.now();
    const live = await joinGroup(sql, membership, leaseTtlMs);
    const renewed = new Map((await renewLeases(sql, membership, leaseTtlMs)).map((lease) => [keyOf(lease), lease]));
    for (const entry of [...owned.values()]) {
      if (renewed.get(keyOf(entry.lease))?.epoch === entry.lease.epoch) entry.validUntilMs = askedAtMs + leaseTtlMs;
      else {
        options.onLeasesChanged('lost', 1);
        drop(entry, 'the lease of the partition was lost');
      }
    }
    const partitions = await countLeases(sql, membership);
    const share = Math.ceil(partitions / live);
    const keep = [...owned.values()].filter((entry) => !entry.surplus);
    for (const entry of keep.slice(share)) {
      entry.surplus = true;
      if (!entry.running) await release(entry);
    }
    if (keep.length >= share) return;
    const acquired = await acquireLeases(sql, membership, share - keep.length, leaseTtlMs);
    for (const lease of acquired) {
      // A lease of ours that had run out and was free again: the batch of the former epoch must not go on.
      const former = owned.get(keyOf(lease));
      if (former) drop(former, 'the lease of the partition was renewed too late');
      owned.set(keyOf(lease), {
        lease,
        next: lease.committed,
        validUntilMs: askedAtMs + leaseTtlMs,
        lost: new AbortController(),
        running: undefined,
        surplus: false,
      });
    }
    if (acquired.length > 0) options.onLeasesChanged('acquired', acquired.length);
  };

  const release = async (entry: Owned): Promise<void> => {
    drop(entry, 'the partition was handed over');
    options.onLeasesChanged('released', 1);
    await releaseLease(sql, membership, entry.lease);
  };

  /** Hands one batch to the handler until it takes it, then commits. */
  const consume = async (entry: Owned, records: readonly BusRecord[]): Promise<void> => {
    const { lease, lost } = entry;
    const last = records.at(-1);
    for (let attempt = 0; last !== undefined && !lost.signal.aborted; attempt += 1) {
      try {
        await handler({ topic: lease.topic, partition: lease.partition, records, signal: lost.signal });
        break;
      } catch (error) {
        if (lost.signal.aborted) return;
        log.warn(
          { group: membership.group, topic: lease.topic, partition: lease.partition, attempt, err: error },
          'a batch was refused and is given again',
        );
        // Not after a stop: the next owner of the partition gets the batch.
        if (stopped.signal.aborted) return;
        await pause(100 + backoffMs(attempt, 100, 5_000), AbortSignal.any([lost.signal, stopped.signal]));
        if (stopped.signal.aborted) return;
      }
    }
    if (last === undefined || lost.signal.aborted) return;
    const offset = last.offset + 1n;
    for (let attempt = 0; !lost.signal.aborted; attempt += 1) {
      try {
        if (await commitOffset(sql, membership, lease, offset)) {
          entry.next = offset;
          options.onConsumed(lease.topic, records.length);
        } else {
          options.onLeasesChanged('lost', 1);
          drop(entry, 'the lease of the partition was lost');
        }
        return;
      } catch (error) {
        failure = error;
        await pause(backoffMs(attempt, 100, 1_000), lost.signal);
      }
    }
  };

  const run = (entry: Owned, records: readonly BusRecord[]): void => {
    entry.running = consume(entry, records).finally(async () => {
      entry.running = undefined;
      if (entry.surplus && owned.get(keyOf(entry.lease)) === entry) await release(entry).catch(() => undefined);
      // This partition may have more: look at once instead of at the next poll.
      bell.ring();
    });
  };

  const fetchLoop = async (): Promise<void> => {
    for (let attempt = 0; !stopped.signal.aborted;) {
      const idle = [...owned.values()].filter(
        (entry) => !entry.running && !entry.surplus && performance.now() < entry.validUntilMs,
      );
      let found = 0;
      try {
        const positions = idle.map(({ lease, next }) => ({
          topic: lease.topic,
          partition: lease.partition,
          offset: next,
        }));
        const records = positions.length === 0 ? [] : await readRecords(sql, positions, options.maxBatchSize);
        found = records.length;
        for (const entry of idle) {
          const own = records.filter(
            ({ topic, partition }) => topic === entry.lease.topic && partition === entry.lease.partition,
          );
          if (own.length > 0 && owned.get(keyOf(entry.lease)) === entry && !stopped.signal.aborted) run(entry, own);
        }
        failure = undefined;
        attempt = 0;
      } catch (error) {
        failure = error;
        attempt += 1;
        log.debug({ group: membership.group, err: error }, 'can not read the bus');
        await pause(backoffMs(attempt, 100, 2_000), stopped.signal);
      }
      if (found === 0) await bell.wait(options.pollIntervalMs, stopped.signal);
    }
  };

  const balanceLoop = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await pause(leaseTtlMs / 3, stopped.signal);
      if (stopped.signal.aborted) return;
      try {
        const before = owned.size;
        await balance();
        if (owned.size > before) bell.ring();
      } catch (error) {
        failure = error;
        log.debug({ group: membership.group, err: error }, 'can not renew leases');
      }
      for (const entry of [...owned.values()]) {
        if (performance.now() < entry.validUntilMs) continue;
        options.onLeasesChanged('lost', 1);
        drop(entry, 'the lease of the partition could not be renewed in time');
      }
    }
  };

  await createLeases(sql, membership.group, membership.topics, options.from);
  await balance();
  const loops = [fetchLoop(), balanceLoop()];
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    stopped.abort();
    await Promise.all(loops);
    bell.close();
    await Promise.all([...owned.values()].flatMap(({ running }) => (running ? [running] : [])));
    for (const entry of [...owned.values()]) drop(entry, 'the subscription was stopped');
    await leaveGroup(sql, membership).catch((error: unknown) =>
      log.debug({ err: error }, 'leases run out by themselves'),
    );
  };
  return {
    stop: () => (stopping ??= stop()),
    async ready() {
      if (failure !== undefined)
        throw new Error(`${membership.group} can't read the bus: ${messageOf(failure)}`, { cause: failure });
    },
  };
}

async function countLeases(sql: Sql, { group, topics }: Membership): Promise<number> {
  const [row] = await sql.query<{ partitions: number }>(
    'SELECT count(*)::int AS partitions FROM bus.leases WHERE group_id = $1 AND topic = ANY($2::text[])',
    [group, topics],
  );
  return row?.partitions ?? 0;
}
