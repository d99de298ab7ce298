/**
 * The subscription `fleet`: the summary, again whenever it may have changed, at most once in `intervalMs`.
 * It is computed from the tables, not from the changes: those only say when. So it can't drift.
 */
import { isDeepStrictEqual } from 'node:util';
import { pause } from '../../../platform/lifecycle/wait.js';
import { readFleetSummary, type FleetSummary } from '../fleet/fleet-summary.js';
import { cancellable } from '../../../platform/lifecycle/cancellable.js';
import { decodeResumeCursor, encodeResumeCursor } from './resume-cursor.js';
import type { LiveOptions, WithCursor } from './stream.js';

/** The summary now, then each one that differs from the one before. */
export function fleetStream(
  { sql, feed, metrics }: LiveOptions,
  tenant: string,
  { since }: { readonly since?: string | null },
  intervalMs = 500,
): AsyncGenerator<WithCursor<{ readonly fleet: FleetSummary }>, void, undefined> {
  return cancellable(async function* (signal) {
    // A summary has no past to catch up with; but a cursor of another stream is a mistake worth telling.
    decodeResumeCursor(tenant, 'fleet', since);
    const wakeUp = createWakeUp(signal);
    const watch = await feed.watch(tenant, undefined, {
      change({ entity, payload }) {
        if (entity === 'device' && payload.kind === 'presence') wakeUp.wake();
        if (entity === 'event' && payload.type.startsWith('io.fleetgraph.device.')) wakeUp.wake();
      },
      // Whatever was lost, the next summary has it.
      lost: () => wakeUp.wake(),
    });
    metrics.subscriptions.inc({ stream: 'fleet' });
    try {
      let last: FleetSummary | undefined;
      while (!signal.aborted) {
        const { summary, seq } = await readFleetSummary(sql, tenant);
        if (!isDeepStrictEqual(summary, last)) {
          last = summary;
          yield { cursor: encodeResumeCursor(tenant, 'fleet', seq), fleet: summary };
        }
        await pause(intervalMs, signal);
        await wakeUp.awoken();
      }
    } finally {
      metrics.subscriptions.dec({ stream: 'fleet' });
      watch.stop();
    }
  });
}

/** A flag that one loop waits for and clears. */
function createWakeUp(signal: AbortSignal): { wake(): void; awoken(): Promise<void> } {
  let isAwake = false;
  let waking: (() => void) | undefined;
  const wake = (): void => {
    isAwake = true;
    waking?.();
  };
  signal.addEventListener('abort', wake, { once: true });
  return {
    wake,
    async awoken() {
      if (!isAwake) await new Promise<void>((resolve) => (waking = resolve));
      isAwake = false;
    },
  };
}
