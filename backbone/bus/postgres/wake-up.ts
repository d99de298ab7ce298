/**
 * Tells readers that there is something to read. Readers in this process are told directly; those in others by NOTIFY,
 * at most one in ten milliseconds and never in the transaction of an append, for NOTIFY takes a lock of the whole
 * server at commit. A wake-up that is lost costs a poll interval, nothing else.
 */
import { EventEmitter } from 'node:events';
import pg from 'pg';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';

const channel = 'fleetgraph_bus';
const throttleMs = 10;

/** Rung by every announcement for its topics. It stays rung until it is waited for, so that none is missed between. */
export interface Bell {
  /** Resolves when rung since the last wait, after `timeoutMs`, or when aborted. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<void>;
  ring(): void;
  close(): void;
}

export interface WakeUp {
  /** Tells every reader of the topics, here and elsewhere. Never throws. */
  announce(topics: Iterable<string>): void;
  bell(topics: readonly string[]): Bell;
  stop(): Promise<void>;
}

export function createWakeUp(options: { pool: pg.Pool; databaseUrl: string; log: Logger }): WakeUp {
  const { pool, log } = options;
  const local = new EventEmitter();
  local.setMaxListeners(0);
  const stopped = new AbortController();
  const pending = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const self = Math.random().toString(36).slice(2);

  const notifyOthers = (): void => {
    timer = undefined;
    const payload = JSON.stringify([self, ...pending]);
    pending.clear();
    pool
      .query('SELECT pg_notify($1, $2)', [channel, payload])
      .catch((error: unknown) => log.debug({ err: error }, 'other processes were not woken; they poll'));
  };

  const listening = listen(options.databaseUrl, log, stopped.signal, (payload) => {
    const [from, ...topics] = JSON.parse(payload) as string[];
    if (from !== self) for (const topic of topics) local.emit(topic);
  });

  return {
    announce(topics) {
      for (const topic of topics) {
        local.emit(topic);
        pending.add(topic);
      }
      if (!stopped.signal.aborted) timer ??= setTimeout(notifyOthers, throttleMs);
    },
    bell(topics) {
      let rung = new AbortController();
      const ring = () => rung.abort();
      for (const topic of topics) local.on(topic, ring);
      return {
        ring,
        async wait(timeoutMs, signal) {
          await pause(timeoutMs, AbortSignal.any([signal, rung.signal]));
          rung = new AbortController();
        },
        close() {
          for (const topic of topics) local.off(topic, ring);
        },
      };
    },
    async stop() {
      clearTimeout(timer);
      stopped.abort();
      await listening;
    },
  };
}

/** Keeps one connection that listens, until aborted. */
async function listen(
  url: string,
  log: Logger,
  signal: AbortSignal,
  onPayload: (payload: string) => void,
): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const client = new pg.Client({ connectionString: url, application_name: 'fleetgraph-bus-listen', keepAlive: true });
    const ended = new Promise<void>((resolve) => {
      client.once('end', resolve);
      client.once('error', () => resolve());
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    client.on('error', (error) => log.debug({ err: error }, 'listening connection lost'));
    client.on('notification', ({ payload }) => onPayload(payload ?? '[]'));
    try {
      await client.connect();
      await client.query(`LISTEN ${channel}`);
      attempt = 0;
      await ended;
    } catch (error) {
      log.debug({ err: error }, 'can not listen for wake-ups; polling instead');
    }
    await client.end().catch(() => undefined);
    if (!signal.aborted) await pause(backoffMs(attempt, 100, 2_000), signal);
  }
}
