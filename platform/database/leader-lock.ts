/**
 * One process leads, the others stand by: a session lock of PostgreSQL on a connection of its own. A process that dies
 * loses its connection, and with it the lock, at once.
 */
import { messageOf } from '../errors.js';
import { backoffMs, pause } from '../lifecycle/wait.js';
import type { Logger } from '../observability/logger.js';
import { createOutageLog } from '../observability/outage-log.js';
import { createDedicatedClient } from './dedicated-client.js';

export interface LeaderLock {
  /** Rejects while the lock can't even be asked for. */
  ready(): Promise<void>;
  /** Ends the lead, if it has it, and stands by no more. */
  stop(): Promise<void>;
}

export interface LeaderLockOptions {
  readonly databaseUrl: string;
  /** Those of one name take turns. */
  readonly name: string;
  readonly log: Logger;
  /** Leads until the signal is aborted, because the lock was lost or it is to stop. Settles only when nothing of it goes on. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  /** How often one that stands by asks, milliseconds. Default 500. */
  readonly pollMs?: number;
}

/** Stands by from now on. */
export function standForLead(options: LeaderLockOptions): LeaderLock {
  const { name, log, pollMs = 500 } = options;
  const stopped = new AbortController();
  const outages = createOutageLog({ log, event: 'the lead was lost, or can not be asked for' });
  let failure: unknown;

  const attempt = async (): Promise<void> => {
    const client = createDedicatedClient({
      databaseUrl: options.databaseUrl,
      applicationName: `fleetgraph-leader-${name}`,
    });
    const ended = new AbortController();
    client.on('error', (error) => ended.abort(error));
    client.on('end', () => ended.abort(new Error('the connection of the lock ended')));
    try {
      await client.connect();
      for (;;) {
        const { rows } = await client.query<{ taken: boolean }>(
          `SELECT pg_try_advisory_lock(hashtextextended('fleetgraph-leader-' || $1::text, 0)) AS taken`,
          [name],
        );
        failure = undefined;
        outages.succeeded(name);
        if (rows[0]?.taken === true) break;
        await pause(pollMs, AbortSignal.any([stopped.signal, ended.signal]));
        if (stopped.signal.aborted) return;
        ended.signal.throwIfAborted();
      }
      log.info({ lead: name }, 'leads');
      await options.lead(AbortSignal.any([stopped.signal, ended.signal]));
      ended.signal.throwIfAborted();
    } finally {
      await client.close();
    }
  };

  const running = (async () => {
    for (let failures = 0; !stopped.signal.aborted; failures += 1) {
      try {
        await attempt();
        failures = 0;
      } catch (error) {
        failure = error;
        outages.failed(name, error, { lead: name });
        await pause(100 + backoffMs(failures, 100, 2_000), stopped.signal);
      }
    }
  })();

  return {
    async ready() {
      if (failure !== undefined) throw new Error(`can't stand for the lead of ${name}: ${messageOf(failure)}`);
    },
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
