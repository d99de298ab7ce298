/**
 * Dead letters on their way through their consumer once more. A replay is asked for in the table of the dead letters
 * (`status = 'REPLAYING'`), not on the bus: other groups must not see the record a second time. Each consumer looks there
 * beside the bus, for letters of its own name.
 *
 * Once: a letter is leased by one member at a time; one whose process dies is taken by another when the lease has passed.
 * It may then be handled twice, as any record of the bus may be: handlers are idempotent, by the id of the event.
 * Order: the partition went on when the record was put aside, so that it comes behind what followed it, and beside what the
 * partition's owner handles now. A handler stands that already: a member that has lost its partition ends what it had in
 * hand while its successor begins. Letters of one consumer are replayed one after the other, those that failed first first.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { messageOf } from '../../platform/errors.js';
import { backoffMs, pause, spreadMs } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { BusRecord } from '../bus/event-bus.js';
import { storable } from './dead-letters.js';

/** How often a consumer looks; between letters of one replay it does not wait. */
const pollMs = 1_000;
const leaseMs = 60_000;

interface Leased {
  readonly id: string;
  readonly lease: string;
  readonly record: BusRecord;
}

/**
 * Replays letters of the consumer until it is stopped. `handle` handles one record to the end; when it rejects, the letter
 * is pending again, with the new cause.
 */
export function startReplays(options: {
  consumer: string;
  pool: pg.Pool;
  log: Logger;
  handle: (record: BusRecord, signal: AbortSignal) => Promise<void>;
}): { stop(): Promise<void> } {
  const { consumer, pool, log } = options;
  const stopped = new AbortController();

  const replayNext = async (): Promise<boolean> => {
    const letter = await leaseNext(pool, consumer);
    if (letter === undefined) return false;
    try {
      await options.handle(letter.record, stopped.signal);
    } catch (error) {
      // Stopped in the middle: another member takes it when the lease has passed.
      if (stopped.signal.aborted) return false;
      log.error({ consumer, deadLetter: letter.id, err: error }, 'a dead letter failed again');
      await settle(pool, letter, error);
      return true;
    }
    await settle(pool, letter);
    log.info({ consumer, deadLetter: letter.id }, 'a dead letter was handled');
    return true;
  };

  const loop = async (): Promise<void> => {
    let failures = 0;
    while (!stopped.signal.aborted) {
      let waitMs = spreadMs(pollMs);
      try {
        if (await replayNext()) waitMs = 0;
        failures = 0;
      } catch (error) {
        log.debug({ consumer, reason: messageOf(error) }, 'looking for dead letters to replay failed; trying again');
        waitMs = pollMs + backoffMs(failures, 500, 10_000);
        failures += 1;
      }
      if (waitMs > 0) await pause(waitMs, stopped.signal);
    }
  };
  const running = loop();
  return {
    async stop() {
      stopped.abort();
      await running;
    },
  };
}

async function leaseNext(pool: pg.Pool, consumer: string): Promise<Leased | undefined> {
  const lease = randomUUID();
  const { rows } = await pool.query<Omit<BusRecord, 'timestampMs'> & { id: string; failedAt: Date }>(
    `UPDATE dead_letters.dead_letters SET lease = $2, leased_until = now() + $3::float8 * interval '1 millisecond'
     WHERE id = (SELECT id FROM dead_letters.dead_letters
                 WHERE consumer = $1 AND status = 'REPLAYING' AND (leased_until IS NULL OR leased_until <= now())
                 ORDER BY failed_at LIMIT 1 FOR UPDATE SKIP LOCKED)
     RETURNING id, topic, partition, "offset", key, value, headers, failed_at AS "failedAt"`,
    [consumer, lease, leaseMs],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const { id, failedAt, ...record } = row;
  return { id, lease, record: { ...record, timestampMs: failedAt.getTime() } };
}

/** Writes down that the letter was handled or, with a cause, that it failed again; unless the lease has passed to another. */
async function settle(pool: pg.Pool, { id, lease }: Leased, ...failed: readonly [unknown?]): Promise<void> {
  if (failed.length === 0) {
    await pool.query(
      `UPDATE dead_letters.dead_letters SET status = 'REPLAYED', settled_at = now(), lease = NULL, leased_until = NULL
       WHERE id = $1 AND lease = $2`,
      [id, lease],
    );
    return;
  }
  const [cause] = failed;
  await pool.query(
    `UPDATE dead_letters.dead_letters SET status = 'PENDING', attempts = attempts + 1, cause = $3, stack = $4, failed_at = now(),
       lease = NULL, leased_until = NULL
     WHERE id = $1 AND lease = $2`,
    [id, lease, storable(messageOf(cause)), cause instanceof Error ? storable(cause.stack ?? '') : null],
  );
}
