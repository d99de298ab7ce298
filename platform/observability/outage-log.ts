/**
 * The log lines of something that is away for a while: one when the outage begins, one a minute with the count of failures, one
 * when it ends. The load decides how often it fails, and never how many lines there are.
 * An outage ends `quietMs` after its last failure, if there was a success since: a source that succeeds now and then is one
 * outage, not one for each request, and what nobody asks stays away until it has answered.
 * Invariant: at most 2 lines and one a minute for each outage; `failures` of its last line counts all of them.
 */
import { codeOf, messageOf } from '../errors.js';
import { systemClock, type LogClock } from './log-clock.js';
import type { Logger } from './logger.js';
import { atItsOwnPace } from './repeated-lines.js';

export interface OutageLog {
  /** `key` failed. @param fields of the line; those of the last failure are written. */
  failed(key: string, error: unknown, fields?: Readonly<Record<string, unknown>>): void;
  /** `key` succeeded. Costs next to nothing while nothing is away. */
  succeeded(key: string): void;
}

export interface OutageLogOptions {
  readonly log: Pick<Logger, 'warn'>;
  /** What the lines say: `subgraph does not answer`. The later ones end in `: still` and `: over`. */
  readonly event: string;
  /** Between lines of one outage. Default 60,000. */
  readonly remindEveryMs?: number;
  /** Without a failure, until an outage is over. Default 10,000. */
  readonly quietMs?: number;
  /** Outages at once that have lines of their own; further ones share those of the key `others`. Default 100. */
  readonly maxKeys?: number;
  readonly clock?: LogClock;
}

interface Outage {
  readonly beganAt: number;
  lastFailedAt: number;
  writtenAt: number;
  failures: number;
  /** Failures that no line has counted yet. */
  unwritten: number;
  hasSucceeded: boolean;
  latest: Readonly<Record<string, unknown>>;
}

const others = 'others';
/** How often open outages are looked at, milliseconds. */
const lookEveryMs = 1_000;

export function createOutageLog(options: OutageLogOptions): OutageLog {
  const { log, event, remindEveryMs = 60_000, quietMs = 10_000, maxKeys = 100, clock = systemClock } = options;
  const outages = new Map<string, Outage>();
  let stopLooking: (() => void) | undefined;

  const write = (outage: Outage, stage: string): void => {
    const { failures, beganAt, latest } = outage;
    const lastedMs = Math.round(outage.lastFailedAt - beganAt);
    log.warn({ ...latest, failures, lastedMs, ...atItsOwnPace }, `${event}: ${stage}`);
    outage.writtenAt = clock.now();
    outage.unwritten = 0;
  };

  const look = (): void => {
    const now = clock.now();
    for (const [key, outage] of outages) {
      if (outage.hasSucceeded && now - outage.lastFailedAt >= quietMs) {
        write(outage, 'over');
        outages.delete(key);
      } else if (outage.unwritten > 0 && now - outage.writtenAt >= remindEveryMs) write(outage, 'still');
    }
    if (outages.size > 0) return;
    stopLooking?.();
    stopLooking = undefined;
  };

  return {
    failed(key, error, fields = {}) {
      const now = clock.now();
      const known = outages.has(key) || outages.size < maxKeys ? key : others;
      const code = codeOf(error);
      const latest = {
        ...(known === key ? fields : { ...fields, key: others }),
        ...(code === undefined ? {} : { code }),
        reason: reasonOf(error),
      };
      const outage = outages.get(known);
      if (outage) {
        outage.lastFailedAt = now;
        outage.failures += 1;
        outage.unwritten += 1;
        // Nobody says which of the others has succeeded: they are over when none of them fails.
        outage.hasSucceeded = known === others;
        outage.latest = latest;
        return;
      }
      const times = { beganAt: now, lastFailedAt: now, writtenAt: now };
      outages.set(known, { ...times, failures: 1, unwritten: 0, hasSucceeded: known === others, latest });
      log.warn({ ...latest, ...atItsOwnPace }, event);
      stopLooking ??= clock.every(lookEveryMs, look);
    },
    succeeded(key) {
      if (outages.size === 0) return;
      const outage = outages.get(key);
      if (outage) outage.hasSucceeded = true;
    },
  };
}

/** Why, in one line: of errors that have no message of their own, what they stand for. */
function reasonOf(error: unknown): string {
  const message = messageOf(error) || (codeOf(error) ?? 'unknown');
  const cause = error instanceof Error ? error.cause : undefined;
  return (cause instanceof Error ? `${message} (${messageOf(cause)})` : message).slice(0, 1_000);
}
