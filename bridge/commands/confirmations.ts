/** Writes down which commands were confirmed by their devices, many at once, without keeping the devices waiting. */
import { pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { UndeliveredCommands } from './undelivered-commands.js';

export interface Confirmations {
  add(commandId: string): void;
  /** Writes the rest, once: what can't be written now is sent again after the next start. */
  stop(): Promise<void>;
}

const retryMs = 1_000;

export function createConfirmations(options: { store: UndeliveredCommands; log: Logger }): Confirmations {
  const stopped = new AbortController();
  const confirmed = new Set<string>();
  let running: Promise<void> | undefined;

  const writeAll = async (): Promise<void> => {
    while (confirmed.size > 0) {
      const ids = [...confirmed];
      try {
        await options.store.change({ added: [], endedCommandIds: ids, endedDeviceIds: [] });
        for (const id of ids) confirmed.delete(id);
      } catch (error) {
        options.log.warn({ err: error }, 'confirmed commands could not be written down; trying again');
        if (stopped.signal.aborted) break;
        await pause(retryMs, stopped.signal);
      }
    }
    running = undefined;
  };

  return {
    add(commandId) {
      confirmed.add(commandId);
      running ??= writeAll();
    },
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
