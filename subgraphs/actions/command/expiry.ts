/**
 * The clock of commands: expires those whose time to live has passed without an answer, fails attempts that nobody answered
 * in time and begins the next, and tells progress that was held back.
 * Any number of instances may run it: each takes due commands that nobody else has locked (SKIP LOCKED), so that a command
 * expires once, and those of a stopped instance are taken by the others. It sleeps until the next command is due, at most
 * a second: a command lives for a second at least, so one that another instance accepts is seen before it is due.
 */
import type pg from 'pg';
import { inTransaction, sqlOf } from '../../../platform/database/sql.js';
import { startRounds, type Rounds } from '../../../platform/lifecycle/rounds.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { appendEvents, eventOf } from './append-facts.js';
import type { Moved } from './apply-signals.js';
import type { CommandMetrics } from './command-metrics.js';
import { lockDueCommands, nextDueTime, saveCommands } from './command-rows.js';
import { decide, evolve } from './life-cycle.js';

const batchSize = 200;
const longestSleepMs = 1_000;
/** While commands are due but locked by others: how soon to look again. */
const shortestSleepMs = 20;

/** Starts the loop. `now` gives epoch milliseconds. */
export function startExpiry(options: {
  pool: pg.Pool;
  metrics: CommandMetrics;
  log: Logger;
  wakeRelay: () => void;
  now?: () => number;
}): Rounds {
  const { pool, metrics, log, now = Date.now } = options;
  return startRounds({
    log,
    failing: "Commands can't be expired",
    async round() {
      const expired = await expireDue(pool, now());
      for (const { command, events } of expired) metrics.moved(command, events);
      if (expired.some(({ events }) => events.length > 0)) options.wakeRelay();
      if (expired.length === batchSize) return 0;
      const due = await nextDueTime(sqlOf(pool));
      const inMs = due === undefined ? longestSleepMs : due.getTime() - now();
      metrics.expiryLag(Math.max(0, -inMs / 1_000));
      return Math.min(longestSleepMs, Math.max(shortestSleepMs, inMs));
    },
  });
}

/** Does what is due at `nowMs` with up to a batch of commands, in one transaction. @returns those that it looked at. */
export async function expireDue(pool: pg.Pool, nowMs: number): Promise<readonly Moved[]> {
  return inTransaction(pool, async (sql) => {
    const due = await lockDueCommands(sql, new Date(nowMs), batchSize);
    const expired = due.map((command) => {
      const facts = decide(command, { kind: 'tick', atMs: nowMs });
      return { command: facts.reduce(evolve, command), events: facts.map((fact) => eventOf(fact, {})) };
    });
    await saveCommands(
      sql,
      expired.map(({ command }) => command),
    );
    for (const { command, events } of expired) await appendEvents(sql, command, events);
    return expired;
  });
}
