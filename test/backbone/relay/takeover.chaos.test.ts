/** Several relays: one leads, another takes over when its process is killed; PostgreSQL goes away under load. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { topicOptions, topics } from '../../../backbone/bus/topics.js';
import { decode } from '../../../backbone/events/envelope.js';
import { createRelayRole } from '../../../backbone/relay/relay.js';
import { isTransientDatabaseError } from '../../../platform/database/transient.js';
import { migrate } from '../../../platform/database/migrate.js';
import { createPool } from '../../../platform/database/pool.js';
import { inTransaction, sqlOf, type Sql } from '../../../platform/database/sql.js';
import { startEmbeddedPostgres } from '../../../platform/embedded/postgres.js';
import { codeOf } from '../../../platform/errors.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import { startScript } from '../../world/child-process.js';
import { silentLog } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { appendNamed, createRelayWorld } from './relay-world.js';

const relayProcess = new URL('relay-process.ts', import.meta.url);

test('while both live, two relays publish everything once', async () => {
  await using world = await createRelayWorld();
  await world.startRelay({ pollIntervalMs: 5, maxBatchSize: 3 });
  await world.startRelay({ pollIntervalMs: 5, maxBatchSize: 3 });
  for (let revision = 0; revision < 60; revision += 1)
    await inTransaction(world.database.pool, (sql) => appendNamed(sql, 'both', revision, String(revision)));
  const all = Array.from({ length: 60 }, (_unused, index) => String(index));
  await eventually(() => expect(world.published.length).toBeGreaterThanOrEqual(60));
  expect(world.published.map(({ name }) => name)).toEqual(all);
});

test('relays that are killed one after the other lose nothing and keep the order of each stream', async () => {
  await using world = await createRelayWorld();
  const streams = ['a', 'b', 'c'];
  let writing = true;
  const written = new Map<string, number>();
  const writers = streams.map(async (stream) => {
    for (let revision = 0; writing; revision += 1) {
      await inTransaction(world.database.pool, (sql) => appendNamed(sql, stream, revision, String(revision)));
      written.set(stream, revision + 1);
      await pause(2);
    }
  });
  let leader = await startScript(relayProcess, [world.database.url]);
  for (let round = 0; round < 3; round += 1) {
    const standby = await startScript(relayProcess, [world.database.url]);
    const before = world.published.length;
    await eventually(() => expect(world.published.length).toBeGreaterThan(before + 20));
    await leader.kill();
    leader = standby;
  }
  writing = false;
  await Promise.all(writers);
  const firstSeen = (stream: string) => [
    ...new Set(world.published.filter((one) => one.stream === stream).map(({ name }) => Number(name))),
  ];
  for (const stream of streams)
    await eventually(() =>
      expect(firstSeen(stream)).toEqual(Array.from({ length: written.get(stream) ?? -1 }, (_unused, index) => index)),
    );
  await leader.kill();
});

/** Appends 0, 1, 2 … until told to stop; after an outage it looks how far its last, unanswered commit came. */
async function appendThrough(pool: Parameters<typeof inTransaction>[0], writing: () => boolean): Promise<number> {
  const stream = 'outage';
  const revisionOf = async (sql: Sql) =>
    (await sql.query<{ n: number }>('SELECT count(*)::int AS n FROM events.events WHERE stream = $1', [stream]))[0]
      ?.n ?? 0;
  let revision = 0;
  while (writing()) {
    try {
      await inTransaction(pool, (sql) => appendNamed(sql, stream, revision, String(revision)));
      revision += 1;
    } catch (error) {
      if (!isTransientDatabaseError(error) && codeOf(error) !== 'CONFLICT') throw error;
      await pause(20);
      revision = await revisionOf(sqlOf(pool)).catch(() => revision);
    }
    await pause(1);
  }
  return eventually(() => revisionOf(sqlOf(pool)));
}

test('nothing that was committed is missing on the bus after PostgreSQL was restarted and killed under load', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-relay-chaos-'));
  await chmod(directory, 0o755);
  let server = await startEmbeddedPostgres({ directory: join(directory, 'postgres') });
  await migrate(server.url);
  const { url, port } = server;
  const pool = createPool({ url, size: 6, applicationName: 'chaos', log: silentLog });
  const bus = createPostgresBus({ pool, databaseUrl: url, log: silentLog, metrics: new Registry() });
  await bus.ensureTopics(topicOptions({ partitions: 2, retentionMs: 3_600_000 }));
  const relay = createRelayRole({
    log: silentLog,
    metrics: new Registry(),
    pool,
    databaseUrl: url,
    bus,
    pollIntervalMs: 20,
    maxBatchSize: 10,
  });
  await relay.start();
  try {
    let writing = true;
    const appending = appendThrough(pool, () => writing);
    const published = async () => {
      const { rows } = await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM bus.records');
      return rows[0]?.n ?? 0;
    };
    for (const outage of ['restart', 'kill'] as const) {
      const before = await published();
      await eventually(async () => expect(await published()).toBeGreaterThan(before + 30));
      if (outage === 'kill') process.kill(server.pid, 'SIGKILL');
      else await server.stop();
      await eventually(() => expect(relay.ready?.()).rejects.toThrow('interrupted'));
      server = await startEmbeddedPostgres({ directory: join(directory, 'postgres'), port });
      await eventually(() => relay.ready?.());
    }
    writing = false;
    const appended = await appending;
    expect(appended).toBeGreaterThan(60);
    await eventually(async () => {
      const { rows } = await pool.query<{ headers: Record<string, string>; value: string }>(
        `SELECT headers, value FROM bus.records WHERE topic = $1 ORDER BY "offset"`,
        [topics.events],
      );
      const names = rows.map((row) => (decode(row).data as { name: string }).name);
      expect([...new Set(names)]).toEqual(Array.from({ length: appended }, (_unused, index) => String(index)));
    });
  } finally {
    await relay.stop();
    await bus.close();
    await pool.end();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
});
