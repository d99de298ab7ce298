import type { EventBus } from '../../../../backbone/bus/event-bus.js';
import { FleetgraphError } from '../../../../platform/errors.js';
import { pause } from '../../../../platform/lifecycle/wait.js';
import { record } from '../contract.js';

export interface Load {
  /** Numbers that were acknowledged so far, of each key. */
  acknowledged(): number;
  /** Stops publishing; resolves to how many numbers each key has, when the last one is acknowledged. */
  stop(): Promise<number>;
}

/** Publishes 0, 1, 2 … under each key, one number at a time, and repeats what was refused. */
export function publishNumbers(bus: EventBus, topic: string, keys: readonly string[]): Load {
  let publishing = true;
  let next = 0;
  const running = (async () => {
    for (; publishing; next += 1) {
      for (;;) {
        try {
          await bus.publish(
            topic,
            keys.map((key) => record(key, String(next))),
          );
          break;
        } catch (error) {
          if (!(error instanceof FleetgraphError && error.code === 'UNAVAILABLE')) throw error;
          await pause(50);
        }
      }
      await pause(3);
    }
  })();
  running.catch(() => undefined);
  return {
    acknowledged: () => next,
    async stop() {
      publishing = false;
      await running;
      return next;
    },
  };
}

/** Values in the order of their first appearance: a repetition changes nothing. */
export function firstAppearances(values: readonly string[]): string[] {
  return [...new Set(values)];
}
