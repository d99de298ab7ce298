/** Writes down which commands were confirmed by their devices, many at once, without keeping the devices waiting. */
import { pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import { createOutageLog } from '../../platform/observability/outage-log.js';
import type { UndeliveredCommands } from './undelivered-commands.js';

export interface Confirmations {
  /** The device has this attempt at the command. */
  add(commandId: string, attempt: number): void;
  /** Writes the rest, once: what can't be written now is sent again after the next start. */
  stop(): Promise<void>;
}

const retryMs = 1_000;

export function createConfirmations(options: { store: UndeliveredCommands; log: Logger }): Confirmations {
  const stopped = new AbortController();
  /** The last attempt that was confirmed of each command. */
  const confirmed = new Map<string, number>();
  let running: Promise<void> | undefined;
  const outages = createOutageLog({ log: options.log, event: 'confirmed commands can not be written down' });

  const writeAll = async (): Promise<void> => {
    while (confirmed.size > 0) {
      const batch = [...confirmed].map(([commandId, attempt]) => ({ commandId, attempt }));
      try {
        await options.store.change({ added: [], endedCommandIds: [], endedDeviceIds: [], confirmed: batch });
        outages.succeeded('confirmations');
        for (const { commandId, attempt } of batch)
          if (confirmed.get(commandId) === attempt) confirmed.delete(commandId);
      } catch (error) {
        outages.failed('confirmations', error);
        if (stopped.signal.aborted) break;
        await pause(retryMs, stopped.signal);
      }
    }
    running = undefined;
  };

  return {
    add(commandId, attempt) {
      confirmed.set(commandId, attempt);
      running ??= writeAll();
    },
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
