/**
 * Tells readers that there is something to read, and members of a group that its partitions are to be shared anew.
 * Those in this process are told directly; those in others by NOTIFY, at once but then at most every ten milliseconds,
 * and never in the transaction of an append, for NOTIFY takes a lock of the whole server at commit.
 * Invariant: everything also works, only later, when every notification is lost: who waits for a bell also polls.
 */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { createDedicatedClient } from '../../../platform/database/dedicated-client.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createBell, type Bell } from './bell.js';
import type { Statement, Statements } from './statement.js';

const channel = 'fleetgraph_bus';
const throttleMs = 10;
/** PostgreSQL refuses payloads of 8,000 bytes; a longer one is sent as "everything". */
const longestPayload = 7_900;
const everything = '*';

/** What a bell is rung for. */
export type Subject = `topic ${string}` | `group ${string}`;

export interface WakeUp {
  /** Rings every bell of the subjects, here and in other processes. Never throws. */
  announce(subjects: Iterable<Subject>): void;
  /** A bell that is rung by each announcement of one of the subjects. Close it when it is no longer waited for. */
  bell(subjects: readonly Subject[]): Bell;
  /** Whether announcements of other processes are heard now. */
  hears(): boolean;
  /** Sends what is still to be announced, and stops listening. */
  stop(): Promise<void>;
}

const notify: Statement = { name: 'notify', text: `SELECT pg_notify('${channel}', $1)` };

/** Opens the connection that listens, and keeps it open until stopped. */
export function createWakeUp(options: { statements: Statements; databaseUrl: string; log: Logger }): WakeUp {
  const { statements, databaseUrl, log } = options;
  const here = randomUUID();
  const bells = new EventEmitter();
  bells.setMaxListeners(0);
  const stopped = new AbortController();
  const pending = new Set<Subject>();
  let announcing: Promise<void> | undefined;
  let connected = false;

  const tellOthers = async (): Promise<void> => {
    while (pending.size > 0) {
      const whole = JSON.stringify([here, ...pending]);
      pending.clear();
      const payload = Buffer.byteLength(whole) > longestPayload ? JSON.stringify([here, everything]) : whole;
      try {
        await statements.run(notify, [payload]);
      } catch (error) {
        log.debug({ err: error }, 'other processes were not woken; they poll');
      }
      await pause(throttleMs, stopped.signal);
    }
    announcing = undefined;
  };

  const hear = (payload: string): void => {
    const [from, ...subjects] = JSON.parse(payload) as string[];
    if (from === here) return;
    for (const subject of subjects.includes(everything) ? bells.eventNames() : subjects) bells.emit(subject);
  };

  const listening = keepListening({
    databaseUrl,
    log,
    signal: stopped.signal,
    onNotification: hear,
    onConnected(now) {
      connected = now;
      // What was announced while nobody listened is found by looking.
      if (now) for (const subject of bells.eventNames()) bells.emit(subject);
    },
  });

  return {
    announce(subjects) {
      for (const subject of subjects) {
        bells.emit(subject);
        pending.add(subject);
      }
      if (!stopped.signal.aborted) announcing ??= tellOthers();
    },
    bell(subjects) {
      const bell = createBell(() => {
        for (const subject of subjects) bells.off(subject, bell.ring);
      });
      for (const subject of subjects) bells.on(subject, bell.ring);
      return bell;
    },
    hears: () => connected,
    async stop() {
      stopped.abort();
      await announcing;
      await listening;
    },
  };
}

/** Keeps one connection that listens, until aborted. */
async function keepListening(options: {
  databaseUrl: string;
  log: Logger;
  signal: AbortSignal;
  onNotification: (payload: string) => void;
  onConnected: (connected: boolean) => void;
}): Promise<void> {
  const { log, signal, onConnected } = options;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    const client = createDedicatedClient({
      databaseUrl: options.databaseUrl,
      applicationName: 'fleetgraph-bus-listen',
    });
    const over = new AbortController();
    const end = () => over.abort();
    client.on('error', end).on('end', end);
    signal.addEventListener('abort', end);
    client.on('notification', ({ payload }) => options.onNotification(payload ?? '[]'));
    try {
      await client.connect();
      await client.query(`LISTEN ${channel}`);
      attempt = 0;
      onConnected(true);
      if (!over.signal.aborted) await new Promise((resolve) => over.signal.addEventListener('abort', resolve));
    } catch (error) {
      log.debug({ err: error }, 'can not listen for wake-ups of the bus; it polls instead');
    } finally {
      onConnected(false);
      signal.removeEventListener('abort', end);
    }
    await client.close();
    if (!signal.aborted) await pause(50 + backoffMs(attempt, 100, 2_000), signal);
  }
}
