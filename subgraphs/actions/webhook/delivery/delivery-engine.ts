/**
 * Sends what is due. Any number of instances may run it on one database (`claim.ts`).
 * Endpoints whose last attempt went well and quickly have slots of their own: those that hang or fail hold up only each other, and
 * each of them has one attempt at a time, until its circuit opens and it has none. Within a kind, who was served
 * longest ago comes first.
 * It is woken when something is queued in this process, and looks every half second for what others queued, what is due
 * again, and what a process that died has left.
 */
import { setMaxListeners } from 'node:events';
import { sqlOf } from '../../../../platform/database/sql.js';
import { messageOf } from '../../../../platform/errors.js';
import { startRounds } from '../../../../platform/lifecycle/rounds.js';
import { attempt, type AttemptOptions } from './attempt.js';
import { claimDue, releaseClaims, type Claimed } from './claim.js';

export interface DeliveryEngine {
  /** Something was queued: look at once. */
  wake(): void;
  /** Rejects with the last error while nothing can be taken from the queue. */
  ready(): Promise<void>;
  /** Takes nothing more, lets attempts end for `drainMs`, breaks off the others and gives them back. */
  stop(): Promise<void>;
}

export interface DeliveryEngineOptions extends AttemptOptions {
  /** How long one attempt may take. */
  readonly timeoutMs: number;
  /** Attempts at once of this process, at endpoints that work and at others. */
  readonly slots?: { readonly trusted: number; readonly others: number };
  /** Default 3,000. */
  readonly drainMs?: number;
}

const pollMs = 500;
/** Behind the timeout of an attempt: time to record it. A process that dies delays what it had in hand by both. */
const recordingMs = 10_000;

export function startDeliveryEngine(options: DeliveryEngineOptions): DeliveryEngine {
  const { pool, log, metrics } = options;
  const slots = options.slots ?? { trusted: 192, others: 64 };
  const leaseMs = options.timeoutMs + recordingMs;
  const brokenOff = new AbortController();
  // Each attempt listens.
  setMaxListeners(0, brokenOff.signal);
  const underWay = { trusted: 0, others: 0 };
  const attempts = new Set<Promise<void>>();
  const run = async (claimed: Claimed, kind: keyof typeof underWay): Promise<void> => {
    try {
      await attempt(options, claimed, brokenOff.signal);
    } catch (error) {
      if (brokenOff.signal.aborted) await release(claimed);
      else log.error({ deliveryId: claimed.id, err: error }, 'an attempt could not be recorded; it will be made again');
    } finally {
      underWay[kind] -= 1;
      metrics.underWay(underWay.trusted + underWay.others);
      rounds.wake();
    }
  };

  const release = async (claimed: Claimed): Promise<void> => {
    await releaseClaims(sqlOf(pool), [claimed]).catch((error: unknown) => {
      log.debug({ reason: messageOf(error) }, 'a delivery could not be given back; its lease ends by itself');
    });
  };

  const takeDue = async (kind: keyof typeof underWay): Promise<number> => {
    const free = slots[kind] - underWay[kind];
    if (free < 1) return 0;
    const claimed = await claimDue(pool, { trusted: kind === 'trusted', limit: free, leaseMs });
    for (const one of claimed) {
      underWay[kind] += 1;
      metrics.waited(one.waitedMs / 1_000);
      const running = run(one, kind).finally(() => attempts.delete(running));
      attempts.add(running);
    }
    metrics.underWay(underWay.trusted + underWay.others);
    return claimed.length;
  };

  const rounds = startRounds({
    log,
    failing: "Webhooks can't be delivered",
    async round() {
      const taken = [await takeDue('trusted'), await takeDue('others')];
      return taken.some((count) => count > 0) ? 0 : pollMs;
    },
  });

  return {
    ...rounds,
    async stop() {
      await rounds.stop();
      const grace = setTimeout(() => brokenOff.abort(), options.drainMs ?? 3_000);
      await Promise.all(attempts);
      clearTimeout(grace);
    },
  };
}
