/** One relay on one database: it catches up, wakes at once, stops clean, and goes on after its session is lost. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { maxCountedLag, relayLag } from '../../../backbone/relay/cursor.js';
import { createRelayWaker } from '../../../backbone/store/wake-relay.js';
import { inTransaction, only, sqlOf } from '../../../platform/database/sql.js';
import { createDatabase, silentLog } from '../../world/database.js';
import { startTcpGate } from '../../world/cluster/tcp-gate.js';
import { eventually } from '../../world/eventually.js';
import { appendNamed, createRelayWorld, type RelayWorld } from './relay-world.js';

let world: RelayWorld;
beforeEach(async () => {
  world = await createRelayWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

const names = () => world.published.map(({ name }) => name);
const appendSome = (stream: string, from: number, to: number) =>
  inTransaction(world.database.pool, async (sql) => {
    for (let revision = from; revision < to; revision += 1)
      await appendNamed(sql, stream, revision, `${stream} ${revision}`);
  });

test('what was appended while no relay ran is published in order, over many batches', async () => {
  for (let from = 0; from < 60; from += 20) await appendSome('backlog', from, from + 20);
  await world.startRelay({ maxBatchSize: 7 });
  await eventually(() => expect(names()).toEqual(Array.from({ length: 60 }, (_unused, index) => `backlog ${index}`)));
});

test('events of one stream are in one partition of the bus', async () => {
  await appendSome('one-stream', 0, 30);
  await world.startRelay();
  await eventually(() => expect(names()).toHaveLength(30));
  expect(new Set(world.published.map(({ partition }) => partition)).size).toBe(1);
});

test('a commit that tells the relay is published long before the relay would have looked', async () => {
  await world.startRelay({ pollIntervalMs: 60_000 });
  const wake = createRelayWaker({ pool: world.database.pool, log: silentLog });
  // The first look is over when the first event has passed.
  await appendSome('woken', 0, 1);
  await eventually(() => {
    wake();
    expect(names()).toEqual(['woken 0']);
  });
  await appendSome('woken', 1, 2);
  wake();
  await eventually(() => expect(names()).toEqual(['woken 0', 'woken 1']), 5_000);
});

test('what an open transaction holds back when the relay is woken comes soon after its end, not at the next poll', async () => {
  const { pool } = world.database;
  await world.startRelay({ pollIntervalMs: 60_000 });
  await eventually(async () => expect(await world.metrics.metrics()).toContain('fleetgraph_relay_leader 1'));
  const holder = await pool.connect();
  await holder.query('BEGIN');
  await holder.query('SELECT pg_current_xact_id()');
  await appendSome('held', 0, 2);
  const wake = createRelayWaker({ pool, log: silentLog });
  wake();
  await world.relayHasLooked();
  expect(names()).toEqual([]);
  await holder.query('COMMIT');
  holder.release();
  await eventually(() => expect(names()).toEqual(['held 0', 'held 1']), 5_000);
});

test('a relay that is stopped has published all that was committed before', async () => {
  const relay = await world.startRelay({ pollIntervalMs: 60_000, maxBatchSize: 3 });
  await eventually(async () => expect(await world.metrics.metrics()).toContain('fleetgraph_relay_leader 1'));
  await appendSome('drained', 0, 40);
  await relay.stop();
  const { count } = only(
    await sqlOf(world.database.pool).query<{ count: bigint }>(
      `SELECT count(*) AS count FROM bus.records WHERE topic = 'fleetgraph.events'`,
    ),
  );
  expect(count).toBe(40n);
  expect(await relayLag(sqlOf(world.database.pool), 'events')).toEqual({ events: 0, seconds: 0 });
});

test('a leader whose session is ended by the server leads again, and loses nothing', async () => {
  await world.startRelay({ pollIntervalMs: 20 });
  await appendSome('session', 0, 5);
  await eventually(() => expect(names()).toHaveLength(5));
  for (let round = 1; round <= 3; round += 1) {
    await world.database.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'fleetgraph-relay-events'`,
    );
    await appendSome('session', round * 5, round * 5 + 5);
  }
  await eventually(() =>
    expect([...new Set(names())]).toEqual(Array.from({ length: 20 }, (_unused, index) => `session ${index}`)),
  );
});

test('lag is counted up to a bound, and read from the cursor on, however long the bus was away', async () => {
  await using database = await createDatabase();
  const { pool } = database;
  await pool.query(
    `INSERT INTO events.events (stream, revision, id, type, source, subject, tenant, time, data)
     SELECT 'many', n, gen_random_uuid(), 'io.fleetgraph.device.registered.v1', '/test', 'many', 'acme', now(), '{}'
     FROM generate_series(1, $1::int) n`,
    [maxCountedLag + 50],
  );
  await pool.query('ANALYZE events.events');
  expect(await relayLag(sqlOf(pool), 'events')).toMatchObject({ events: maxCountedLag });
});

test('lag is counted while nothing is published, and gone after', async () => {
  await appendSome('lag', 0, 4);
  const sql = sqlOf(world.database.pool);
  expect(await relayLag(sql, 'events')).toMatchObject({ events: 4 });
  await world.startRelay({ pollIntervalMs: 20 });
  await eventually(async () => expect(await world.metrics.metrics()).toContain('fleetgraph_relay_lag_events 0'));
  expect(await world.metrics.metrics()).toContain('fleetgraph_relay_published_events_total 4');
});

test('ids of events are what the bus carries: a second publication can be told', async () => {
  const id = randomUUID();
  await world.database.pool.query(
    `INSERT INTO events.events (tenant, stream, revision, id, type, source, subject, time, data)
     VALUES ('acme', 's', 1, $1, 'io.fleetgraph.device.registered.v1', '/test', 's', now(), '{"deviceId":"s","name":"n","typeId":"t","labels":{}}')`,
    [id],
  );
  await world.startRelay();
  await eventually(async () => {
    const { rows } = await world.database.pool.query<{ headers: Record<string, string> }>(
      'SELECT headers FROM bus.records',
    );
    expect(rows.map(({ headers }) => headers['ce_id'])).toEqual([id]);
  });
});

test('a server that goes away without a word is left for a new connection, and nothing is missing', async () => {
  const direct = new URL(world.database.url);
  await using gate = await startTcpGate({ host: direct.hostname, port: Number(direct.port) });
  const gated = new URL(direct);
  gated.host = `127.0.0.1:${gate.port}`;
  await world.startRelay({ databaseUrl: gated.href, queryTimeoutMs: 300 });
  await appendSome('before', 0, 1);
  await eventually(() => expect(names()).toEqual(['before 0']));
  gate.goSilent();
  await appendSome('behind', 0, 3);
  await eventually(() => expect(names()).toEqual(['before 0', 'behind 0', 'behind 1', 'behind 2']));
});
