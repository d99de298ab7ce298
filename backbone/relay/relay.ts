/**
 * The relay: publishes what the event store holds on the bus, in the order of (transaction id, position).
 *
 * Positions are given out before their transactions commit, so a reader that goes by position alone loses the one that
 * commits late. The relay therefore reads only transactions below pg_snapshot_xmin(pg_current_snapshot()): all of them
 * have ended, none can still add a row. A long transaction anywhere in the database holds that horizon, and with it the
 * relay; idle_in_transaction_session_timeout ends a forgotten one.
 *
 * One relay leads, by a session lock on a connection of its own; the others stand by. The cursor moves after the bus
 * has the events, on the connection that holds the lock: a relay that lost its session can't move it any more.
 * Delivery is at-least-once. Source: https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import type pg from 'pg';
import { createDedicatedClient } from '../../platform/database/dedicated-client.js';
import { sqlOf } from '../../platform/database/sql.js';
import { messageOf } from '../../platform/errors.js';
import type { Role } from '../../platform/lifecycle/role.js';
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import { createOutageLog } from '../../platform/observability/outage-log.js';
import type { EventBus } from '../bus/event-bus.js';
import { topics } from '../bus/topics.js';
import { encode } from '../events/envelope.js';
import { relayChannel } from '../store/wake-relay.js';
import { createCursor, hasBehindCursor, maxCountedLag, moveCursor, readBehindCursor, relayLag } from './cursor.js';

export interface RelayOptions {
  readonly log: Logger;
  readonly metrics: Registry;
  readonly pool: pg.Pool;
  /** For the connection that holds the lock and listens. */
  readonly databaseUrl: string;
  readonly bus: EventBus;
  /** Name of the cursor. Relays of one name take turns; default `events`. */
  readonly name?: string;
  readonly pollIntervalMs?: number;
  readonly maxBatchSize?: number;
  /** How long the server may take for an answer before the relay connects anew. Default 30,000 ms. */
  readonly queryTimeoutMs?: number;
}

/** How long a stop waits for events that are committed but held back. */
const drainMs = 2_000;
/** First pause while events are held back; each further one is twice as long, up to the poll interval. */
const heldBackMs = 10;

/** Makes the relay role. Several may run, in several processes: one leads. */
export function createRelayRole(options: RelayOptions): Role {
  const { log, pool, bus, name = 'events', pollIntervalMs = 250, maxBatchSize = 500 } = options;
  const metrics = createRelayMetrics(options.metrics, () => relayLag(sqlOf(pool), name));
  const stopped = new AbortController();
  let running: Promise<void> | undefined;
  let failure: unknown;
  let failures = 0;
  const outages = createOutageLog({ log, event: 'relay is interrupted and goes on where it was' });
  let drainUntil = 0;
  const works = (): void => {
    failure = undefined;
    failures = 0;
    outages.succeeded(name);
  };

  /** Leads until the connection breaks or the relay stops. Stands by first, for as long as another leads. */
  const lead = async (): Promise<void> => {
    const client = createDedicatedClient({
      databaseUrl: options.databaseUrl,
      applicationName: `fleetgraph-relay-${name}`,
      queryTimeoutMs: options.queryTimeoutMs,
    });
    let woken = new AbortController();
    const broken = new AbortController();
    client.on('notification', () => woken.abort());
    client.on('error', (error) => broken.abort(error));
    client.on('end', () => broken.abort(new Error('the connection ended')));
    try {
      await client.connect();
      await client.query(`LISTEN ${relayChannel}`);
      if (!(await takeLead(client, name, stopped.signal, works))) return;
      log.debug({ relay: name }, 'relay leads');
      metrics.leader.set(1);
      await createCursor(sqlOf(client), name);
      let heldPauseMs = heldBackMs;
      for (;;) {
        const published = await publishNext(client);
        works();
        if (published > 0) {
          heldPauseMs = heldBackMs;
          continue;
        }
        // Stopping is asked about only when there is nothing left: what was committed before goes out. Events that an open
        // transaction holds back are waited for a little; later they are the next relay's.
        const heldBack = await hasBehindCursor(sqlOf(client), name);
        if (stopped.signal.aborted) {
          if (performance.now() > drainUntil || !heldBack) return;
          await pause(heldBackMs);
          continue;
        }
        // The end of the transaction that holds them back wakes nobody, and the poll may be far.
        const pauseMs = heldBack ? Math.min(heldPauseMs, pollIntervalMs) : pollIntervalMs;
        heldPauseMs = heldBack ? pauseMs * 2 : heldBackMs;
        await pause(pauseMs, AbortSignal.any([stopped.signal, woken.signal, broken.signal]));
        if (broken.signal.aborted) throw broken.signal.reason;
        woken = new AbortController();
      }
    } finally {
      metrics.leader.set(0);
      await client.close();
    }
  };

  const publishNext = async (client: pg.Client): Promise<number> => {
    const batch = await readBehindCursor(sqlOf(client), name, maxBatchSize);
    const last = batch.at(-1);
    if (last === undefined) return 0;
    await bus.publish(
      topics.events,
      batch.map(({ event }) => encode(event)),
    );
    await moveCursor(sqlOf(client), name, last);
    metrics.published.inc(batch.length);
    return batch.length;
  };

  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await lead();
      } catch (error) {
        failure = error;
        outages.failed(name, error, { relay: name });
        await pause(50 + backoffMs(failures, 100, 2_000), stopped.signal);
        failures += 1;
      }
    }
  };

  return {
    name: 'relay',
    async start() {
      running = run();
    },
    async stop() {
      drainUntil = performance.now() + drainMs;
      stopped.abort();
      await running;
    },
    async ready() {
      if (failure !== undefined) throw new Error(`interrupted: ${messageOf(failure)}`, { cause: failure });
    },
  };
}

/** Waits for the session lock. @returns false if stopped first. */
async function takeLead(client: pg.Client, name: string, signal: AbortSignal, onStandby: () => void): Promise<boolean> {
  for (;;) {
    const result = await client.query<{ taken: boolean }>(
      `SELECT pg_try_advisory_lock(hashtextextended('fleetgraph-relay-' || $1::text, 0)) AS taken`,
      [name],
    );
    if (result.rows[0]?.taken === true) return true;
    onStandby();
    await pause(500, signal);
    if (signal.aborted) return false;
  }
}

function createRelayMetrics(registry: Registry, readLag: () => Promise<{ events: number; seconds: number }>) {
  const registers = [registry];
  const seconds = new Gauge({
    name: 'fleetgraph_relay_lag_seconds',
    help: 'Age of the oldest event that is not on the bus.',
    registers,
  });
  new Gauge({
    name: 'fleetgraph_relay_lag_events',
    help: `Events that are not on the bus yet; ${maxCountedLag} stands for that many or more.`,
    registers,
    async collect() {
      // A scrape must not fail because the database is away.
      const lag = await readLag().catch(() => undefined);
      if (lag === undefined) return;
      this.set(lag.events);
      seconds.set(lag.seconds);
    },
  });
  return {
    leader: new Gauge({
      name: 'fleetgraph_relay_leader',
      help: '1 while this process publishes for its relay.',
      registers,
    }),
    published: new Counter({
      name: 'fleetgraph_relay_published_events_total',
      help: 'Events put on the bus.',
      registers,
    }),
  };
}
