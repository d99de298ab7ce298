/**
 * Waiting for a device that was registered a moment ago and is still on its way here through relay and bus.
 * Whoever waits is woken by this process's consumer, or by a poll, because the consumer of that device may run in another
 * instance. All who wait share one statement a poll.
 * Invariant: a wait that begins before the row commits ends after it: it is entered first, then the table is asked.
 */
import type { Sql } from '../../../platform/database/sql.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import { findKnownTargets, type TargetKey } from './target-rows.js';

export interface TargetWatch {
  /**
   * Resolves with true when the device is known, with false after `timeoutMs`.
   * @throws FleetgraphError UNAVAILABLE when too many wait already, or the watch has stopped.
   */
  known(key: TargetKey, timeoutMs: number): Promise<boolean>;
  /** Tells those who wait that these devices are known now. */
  announce(keys: readonly TargetKey[]): void;
  /** Whether anybody waits. */
  hasWaiting(): boolean;
  /** Lets nobody wait any longer. Resolves when the poll has ended. */
  stop(): Promise<void>;
}

const pollMs = 100;
/** Bounds what a client that asks for made-up devices can pile up. */
const maxWaiting = 1_000;

interface Waiting {
  readonly key: TargetKey;
  readonly settle: (known: boolean | FleetgraphError) => void;
}

export function createTargetWatch(options: { sql: Sql; log: Logger }): TargetWatch {
  const waiting = new Set<Waiting>();
  const stopped = new AbortController();
  let polling: Promise<void> | undefined;
  const outages = createOutageLog({ log: options.log, event: 'devices that commands wait for can not be looked for' });

  const announce = (keys: readonly TargetKey[]): void => {
    if (waiting.size === 0) return;
    const names = new Set(keys.map(nameOf));
    for (const one of waiting) if (names.has(nameOf(one.key))) one.settle(true);
  };

  const poll = async (): Promise<void> => {
    while (waiting.size > 0 && !stopped.signal.aborted) {
      try {
        announce(
          await findKnownTargets(
            options.sql,
            [...waiting].map(({ key }) => key),
          ),
        );
        outages.succeeded('targets');
      } catch (error) {
        outages.failed('targets', error);
      }
      await pause(pollMs, stopped.signal);
    }
    polling = undefined;
  };

  return {
    announce,
    hasWaiting: () => waiting.size > 0,
    async known(key, timeoutMs) {
      if (stopped.signal.aborted) throw stopping();
      if (waiting.size >= maxWaiting) {
        throw new FleetgraphError(
          'UNAVAILABLE',
          'Too many commands wait for devices that are not known yet. Try again.',
        );
      }
      return new Promise((resolve, reject) => {
        const one: Waiting = {
          key,
          settle(known) {
            clearTimeout(timer);
            waiting.delete(one);
            if (known instanceof FleetgraphError) reject(known);
            else resolve(known);
          },
        };
        const timer = setTimeout(() => one.settle(false), timeoutMs);
        waiting.add(one);
        polling ??= poll();
      });
    },
    async stop() {
      stopped.abort();
      for (const one of waiting) one.settle(stopping());
      await polling;
    },
  };
}

/** A tenant has no `/` in it. */
function nameOf(key: TargetKey): string {
  return `${key.tenant}/${key.deviceId}`;
}

function stopping(): FleetgraphError {
  return new FleetgraphError('UNAVAILABLE', 'This instance is shutting down. Send the command again.');
}
