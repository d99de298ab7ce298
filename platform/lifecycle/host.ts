/**
 * Starts roles in order and stops them in reverse: the one place that knows when a part may go away.
 * Invariant: whatever was started is stopped, also when a later start fails; a role that does not drain within the
 * deadline is named in the log and left, so that the process ends.
 */
import { messageOf } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { Role } from './role.js';

export interface Host {
  /** Starts every role, in the order given. On failure stops those already started and throws the first error. */
  start(): Promise<void>;
  /** Stops every started role, last first. Never throws; resolves within about `shutdownTimeoutMs`. */
  stop(): Promise<void>;
  /** Rejects with the name and reason of the first role that can't do its work. */
  ready(): Promise<void>;
}

export function createHost(options: { roles: readonly Role[]; log: Logger; shutdownTimeoutMs: number }): Host {
  const { roles, log } = options;
  const started: Role[] = [];
  /** Those whose start has come to its end: before that a role may have all that it needs and listen nowhere yet. */
  const complete = new Set<Role>();
  let stopping: Promise<void> | undefined;

  const stopAll = async (): Promise<void> => {
    const deadline = Date.now() + options.shutdownTimeoutMs;
    for (let role = started.pop(); role !== undefined; role = started.pop()) {
      await stopOne(role, Math.max(1_000, deadline - Date.now()));
    }
  };

  const stopOne = async (role: Role, timeoutMs: number): Promise<void> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), timeoutMs);
    });
    try {
      if ((await Promise.race([role.stop(), late])) === 'late') {
        log.error({ role: role.name, timeoutMs }, 'role did not drain in time and is left');
      } else {
        log.debug({ role: role.name }, 'role stopped');
      }
    } catch (error) {
      log.error({ role: role.name, err: error }, 'role failed to stop');
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    async start() {
      for (const role of roles) {
        // Counted as started before it has: a start that fails halfway has things to close too.
        started.push(role);
        try {
          await role.start();
        } catch (error) {
          log.debug({ role: role.name, err: error }, 'role failed to start');
          await stopAll();
          throw error;
        }
        complete.add(role);
        log.debug({ role: role.name }, 'role started');
      }
    },
    stop() {
      stopping ??= stopAll();
      return stopping;
    },
    async ready() {
      if (stopping) throw new Error('shutting down');
      for (const role of roles) {
        try {
          await role.ready();
          if (!complete.has(role)) throw new Error('starting');
        } catch (error) {
          throw new Error(`${role.name}: ${messageOf(error)}`, { cause: error });
        }
      }
    },
  };
}
