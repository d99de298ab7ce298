/** Who leads: a standby soon after the leader is killed, and never again a leader that lost its session. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { inTransaction, only, sqlOf } from '../../../platform/database/sql.js';
import { startScript } from '../../world/child-process.js';
import { eventually, within } from '../../world/eventually.js';
import { appendNamed, createRelayWorld, type RelayWorld } from './relay-world.js';

let world: RelayWorld;
beforeEach(async () => {
  world = await createRelayWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

const names = () => world.published.map(({ name }) => name);
const appendOne = (revision: number) =>
  inTransaction(world.database.pool, (sql) => appendNamed(sql, 'stream', revision, String(revision)));

async function sessionsOfRelays(): Promise<number[]> {
  const rows = await sqlOf(world.database.pool).query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'fleetgraph-relay-events'`,
  );
  return rows.map(({ pid }) => pid);
}

async function cursorPosition(): Promise<bigint> {
  const rows = await sqlOf(world.database.pool).query<{ position: bigint }>(
    `SELECT position FROM events.relay_cursors WHERE name = 'events'`,
  );
  return only(rows).position;
}

/** The real bus, whose `publish` waits before or after it publishes, until it is let go. */
function holding(bus: EventBus, when: 'before' | 'after') {
  let letGo: () => void = () => undefined;
  const gone = new Promise<void>((resolve) => (letGo = resolve));
  let arrive: () => void = () => undefined;
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const wait = (): Promise<void> => {
    arrive();
    return gone;
  };
  const held: EventBus = {
    ...bus,
    async publish(topic, records) {
      if (when === 'before') await wait();
      await bus.publish(topic, records);
      if (when === 'after') await wait();
    },
  };
  return { bus: held, arrived, letGo };
}

test('a standby leads within a second or two after the process that led is killed', async () => {
  const leader = await startScript(new URL('relay-process.ts', import.meta.url), [world.database.url]);
  await appendOne(0);
  await eventually(() => expect(names()).toEqual(['0']));
  await world.startRelay({ pollIntervalMs: 20 });
  await eventually(async () => expect(await sessionsOfRelays()).toHaveLength(2));
  expect(await world.metrics.metrics()).toContain('fleetgraph_relay_leader 0');
  await leader.kill();
  await appendOne(1);
  await eventually(() => expect(names()).toEqual(['0', '1']), 3_000);
  expect(await world.metrics.metrics()).toContain('fleetgraph_relay_leader 1');
});

test('a leader whose session is gone can not move the cursor, though it has just published', async () => {
  const former = holding(world.bus, 'after');
  const next = holding(world.bus, 'before');
  await world.startRelay({ bus: former.bus, pollIntervalMs: 20 });
  for (const revision of [0, 1, 2]) await appendOne(revision);
  await within(former.arrived, 20_000, 'publishing by the former leader');
  const [session] = await sessionsOfRelays();
  await world.database.pool.query('SELECT pg_terminate_backend($1)', [session]);
  await world.startRelay({ bus: next.bus, pollIntervalMs: 20 });
  await within(next.arrived, 20_000, 'taking over');

  former.letGo();
  // It stands by again: what it had in hand is over.
  await eventually(async () => expect(await sessionsOfRelays()).toHaveLength(2));
  expect(await cursorPosition()).toBe(0n);

  next.letGo();
  await eventually(async () => expect(await cursorPosition()).toBe(3n));
  await eventually(() => expect([...new Set(names())]).toEqual(['0', '1', '2']));
});
