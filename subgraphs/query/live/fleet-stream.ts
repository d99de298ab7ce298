/**
 * The subscription `fleet`: the summary, again whenever it may have changed, at most once in `intervalMs`.
 * It is computed from the tables, not from the changes: those only say when. So it can't drift.
 */
import { isDeepStrictEqual } from 'node:util';
import type { StreamMark } from '../../../platform/graphql/stream-contract.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import { readFleetSummary, type FleetSummary } from '../fleet/fleet-summary.js';
import { cancellable } from '../../../platform/lifecycle/cancellable.js';
import { decodeResumeCursor, encodeResumeCursor } from './resume-cursor.js';
import type { LiveOptions, Stream, WithCursor } from './stream.js';

/** The summary now, then each one that differs from the one before. */
export function fleetStream(
  { sql, feed, metrics }: LiveOptions,
  tenant: string,
  { since }: { readonly since?: string | null },
  intervalMs = 500,
): Stream<{ readonly fleet: FleetSummary }> {
  const itemOf = (fleet: FleetSummary, seq: bigint): WithCursor<{ readonly fleet: FleetSummary }> => {
    const cursor = encodeResumeCursor(tenant, 'fleet', seq);
    return { fleet, cursor, place: { cursor, position: seq.toString(), key: 'fleet' } };
  };
  const markAt = (seq: bigint): StreamMark => ({
    mark: { position: seq.toString(), cursor: encodeResumeCursor(tenant, 'fleet', seq) },
  });

  /** @param begin makes the first item of the summary as it is. */
  const live = <Item>(begin: (fleet: FleetSummary, seq: bigint) => Item) =>
    cancellable(async function* (signal) {
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
          if (last === undefined) yield begin(summary, seq);
          else if (!isDeepStrictEqual(summary, last)) yield itemOf(summary, seq);
          last = summary;
          await pause(intervalMs, signal);
          await wakeUp.awoken();
        }
      } finally {
        metrics.subscriptions.dec({ stream: 'fleet' });
        watch.stop();
      }
    });

  return {
    follow: () => live(itemOf),
    phase: ({ phase }) => {
      // Taken up again, it may have changed meanwhile.
      if (phase === 'live' && (since === null || since === undefined)) return live((_fleet, seq) => markAt(seq));
      if (phase === 'live') return withMark(live(itemOf), markAt(0n));
      return (async function* () {
        decodeResumeCursor(tenant, 'fleet', since);
        const { summary, seq } = await readFleetSummary(sql, tenant);
        yield itemOf(summary, seq);
        yield markAt(seq);
      })();
    },
  };
}

/** The mark, then the stream; leaving it leaves the stream. */
function withMark<Item>(stream: AsyncGenerator<Item, void, undefined>, mark: StreamMark) {
  return cancellable(async function* (signal): AsyncGenerator<Item | StreamMark, void, undefined> {
    signal.addEventListener('abort', () => void stream.return(), { once: true });
    yield mark;
    yield* stream;
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
