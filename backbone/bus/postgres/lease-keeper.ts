/**
 * Keeps one member's fair share of the partitions of its group, by lease.
 * Invariants: a partition is held only as long as its lease is surely ours by our own clock, counted from before the
 * request that renewed it, whether the database answers or not; what is handed over has finished its batch first; and a
 * partition that comes back is consumed only after the handler of its former lease, here, has settled.
 */
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import { fairShare } from './fair-share.js';
import {
  acquireLeases,
  beatInGroup,
  leaveGroup,
  leaveMembers,
  releaseLease,
  renewLeases,
  type Lease,
  type Membership,
} from './leases.js';
import type { PartitionConsumer } from '../partition-consumer.js';
import type { Statements } from './statement.js';
import type { WakeUp } from './wake-up.js';

export interface LeaseKeeper {
  /** Consumers of the partitions that are held now. */
  consumers(): readonly PartitionConsumer[];
  /** Why leases could not be renewed the last time, if they could not. */
  failure(): unknown;
  /**
   * Hands everything over as its batches finish, and leaves the group. After `graceMs` the signals of the batches that
   * still run are aborted; after as much again their handlers are left to themselves. Never throws.
   */
  leave(graceMs: number): Promise<void>;
}

export interface LeaseKeeperOptions {
  readonly statements: Statements;
  readonly wakeUp: WakeUp;
  readonly log: Logger;
  readonly membership: Membership;
  /** A member that is silent for this long is taken for dead. */
  readonly ttlMs: number;
  /** Makes the consumer of a partition that has just become ours. */
  readonly consume: (
    lease: Lease,
    lost: AbortSignal,
    lose: () => void,
    after: Promise<void> | undefined,
  ) => PartitionConsumer;
  readonly onChanged: (kind: 'acquired' | 'released' | 'lost', partitions: number) => void;
}

interface Held {
  readonly lease: Lease;
  readonly lost: AbortController;
  readonly consumer: PartitionConsumer;
  /** By `performance.now()`. */
  validUntilMs: number;
  /** To be handed over as soon as its batch is finished. */
  retiring: boolean;
}

/** Joins the group and takes its first partitions. */
export async function keepLeases(options: LeaseKeeperOptions): Promise<LeaseKeeper> {
  const { statements, wakeUp, log, membership, ttlMs, onChanged } = options;
  const { group } = membership;
  const held = new Map<string, Held>();
  const settling = new Map<string, Promise<void>>();
  const stopped = new AbortController();
  const bell = wakeUp.bell([`group ${group}`]);
  let expiry: NodeJS.Timeout | undefined;
  let leaving = false;
  let failure: unknown;
  const outages = createOutageLog({ log, event: 'leases of partitions can not be renewed' });

  const forget = (entry: Held, reason: string): void => {
    const name = nameOf(entry.lease);
    if (held.get(name) !== entry) return;
    held.delete(name);
    entry.lost.abort(new Error(`${group} ${reason} ${name}`));
    if (!entry.consumer.busy()) return;
    const settled = entry.consumer.finish().finally(() => {
      if (settling.get(name) === settled) settling.delete(name);
    });
    settling.set(name, settled);
  };

  const lose = (entry: Held, reason: string): void => {
    if (held.get(nameOf(entry.lease)) !== entry) return;
    log.warn({ group, topic: entry.lease.topic, partition: entry.lease.partition }, `a partition was lost: ${reason}`);
    onChanged('lost', 1);
    forget(entry, 'lost');
    bell.ring();
  };

  /** Lets go what was not renewed in time, also while the database does not answer. */
  const watchExpiry = (): void => {
    clearTimeout(expiry);
    const now = performance.now();
    let earliest = Number.POSITIVE_INFINITY;
    for (const entry of [...held.values()]) {
      if (entry.validUntilMs <= now) lose(entry, 'its lease could not be renewed in time');
      else earliest = Math.min(earliest, entry.validUntilMs);
    }
    if (earliest < Number.POSITIVE_INFINITY) expiry = setTimeout(watchExpiry, Math.ceil(earliest - now) + 1);
  };

  const adopt = (lease: Lease, validUntilMs: number): void => {
    const name = nameOf(lease);
    const former = held.get(name);
    if (former) lose(former, 'its lease had expired');
    const lost = new AbortController();
    const consumer = options.consume(
      lease,
      lost.signal,
      () => lose(entry, 'another member has it'),
      settling.get(name),
    );
    const entry: Held = { lease, lost, consumer, validUntilMs, retiring: false };
    held.set(name, entry);
  };

  const retire = (entry: Held): void => {
    if (entry.retiring) return;
    entry.retiring = true;
    void entry.consumer.finish().then(() => bell.ring());
  };

  const releaseFinished = async (): Promise<void> => {
    for (const entry of [...held.values()]) {
      if (!entry.retiring || entry.consumer.busy()) continue;
      await releaseLease(statements, membership, entry.lease, ttlMs);
      forget(entry, 'released');
      onChanged('released', 1);
      wakeUp.announce([`group ${group}`]);
    }
  };

  const renew = async (): Promise<void> => {
    const validUntilMs = performance.now() + ttlMs;
    const renewed = new Map((await renewLeases(statements, membership, ttlMs)).map((lease) => [nameOf(lease), lease]));
    for (const [name, entry] of [...held]) {
      if (renewed.get(name)?.epoch !== entry.lease.epoch) lose(entry, 'its lease is gone');
      else {
        entry.validUntilMs = validUntilMs;
        renewed.delete(name);
      }
    }
    // Ours in the database, unknown here: the answer to the request that acquired them was lost.
    if (!leaving) for (const lease of renewed.values()) adopt(lease, validUntilMs);
    watchExpiry();
  };

  /** Renews what is ours, forgets what is not, and moves towards the fair share. */
  const balance = async (): Promise<void> => {
    await releaseFinished();
    if (leaving) return renew();
    const { live, partitions } = await beatInGroup(statements, membership, ttlMs);
    await renew();
    const share = fairShare(partitions, live, membership.member);
    const kept = [...held.values()].filter((entry) => !entry.retiring);
    for (const entry of kept.slice(share)) retire(entry);
    if (kept.length >= share || leaving) return;
    const validUntilMs = performance.now() + ttlMs;
    const acquired = await acquireLeases(statements, membership, share - kept.length, ttlMs);
    for (const lease of acquired) adopt(lease, validUntilMs);
    watchExpiry();
    if (acquired.length > 0) onChanged('acquired', acquired.length);
  };

  const keepBalance = async (): Promise<void> => {
    let waitMs = ttlMs / 3;
    for (let attempt = 0; ;) {
      await bell.wait(waitMs, stopped.signal);
      if (stopped.signal.aborted) return;
      try {
        await balance();
        failure = undefined;
        outages.succeeded(group);
        attempt = 0;
        waitMs = ttlMs / 3;
      } catch (error) {
        outages.failed(group, error, { group });
        failure = error;
        waitMs = 50 + backoffMs(attempt, 100, ttlMs / 6);
        attempt += 1;
      }
    }
  };

  const close = (): void => {
    stopped.abort();
    clearTimeout(expiry);
    bell.close();
  };

  try {
    await balance();
  } catch (error) {
    close();
    for (const entry of [...held.values()]) forget(entry, 'could not join');
    throw error;
  }
  // The others have too much now.
  wakeUp.announce([`group ${group}`]);
  const keeping = keepBalance();

  return {
    consumers: () => [...held.values()].map(({ consumer }) => consumer),
    failure: () => failure,
    async leave(graceMs) {
      leaving = true;
      const entries = [...held.values()];
      for (const entry of entries) retire(entry);
      bell.ring();
      const left = leaveMembers(statements, membership, graceMs).catch(() => undefined);
      if (!(await settles(Promise.all(entries.map(({ consumer }) => consumer.finish())), graceMs))) {
        for (const entry of [...held.values()]) forget(entry, 'stopped before it had finished a batch of');
        if (!(await settles(Promise.all(settling.values()), graceMs)))
          log.warn(
            { group, batches: settling.size },
            'handlers that do not end were left; their batches are given again',
          );
      }
      close();
      await keeping;
      await left;
      for (const entry of [...held.values()]) forget(entry, 'stopped');
      await leaveGroup(statements, membership, graceMs).catch((error: unknown) =>
        log.debug({ group, err: error }, 'leases could not be given back; they expire'),
      );
      wakeUp.announce([`group ${group}`]);
    },
  };
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}

/** Whether `work` settles within `ms`. */
async function settles(work: Promise<unknown>, ms: number): Promise<boolean> {
  const over = new AbortController();
  const settled = work.then(
    () => true,
    () => true,
  );
  const late = pause(ms, over.signal).then(() => false);
  const result = await Promise.race([settled, late]);
  over.abort();
  return result;
}
