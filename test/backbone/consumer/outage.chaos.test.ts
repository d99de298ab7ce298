/**
 * The database goes away while consumers work on it, by both drivers: once in good order, once by kill -9. No event may be
 * taken for poison, none may be lost, and each has its effect once.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import type { Event } from '../../../backbone/events/envelope.js';
import { migrate } from '../../../platform/database/migrate.js';
import { createPool } from '../../../platform/database/pool.js';
import { createPrisma } from '../../../platform/database/prisma.js';
import { inTransaction, sqlOfPrisma, type Sql } from '../../../platform/database/sql.js';
import { startEmbeddedPostgres } from '../../../platform/embedded/postgres.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import { silentLog } from '../../world/database.js';
import { eventually } from '../../world/eventually.js';
import { named, nameOf, topic } from './named-events.js';

test('an outage of the database costs no event, whichever driver was in the middle of its transaction', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-consumer-chaos-'));
  await chmod(directory, 0o755);
  let server = await startEmbeddedPostgres({ directory: join(directory, 'postgres') });
  await migrate(server.url);
  const { url, port } = server;
  const pool = createPool({ url, size: 8, applicationName: 'outage', log: silentLog });
  const prisma = createPrisma({ url, size: 4, applicationName: 'outage-prisma' });
  const bus = createPostgresBus({ pool, databaseUrl: url, log: silentLog, metrics: new Registry(), leaseTtlMs: 1_500 });
  await bus.ensureTopics([{ name: topic, partitions: 1, retentionMs: 3_600_000 }]);
  await pool.query('CREATE TABLE effects (n serial, consumer text, id text, name text, UNIQUE (consumer, id))');

  const effect = async (sql: Sql, consumer: string, event: Event): Promise<void> => {
    await sql.query(
      'INSERT INTO effects (consumer, id, name) VALUES ($1::text, $2::text, $3::text) ON CONFLICT DO NOTHING',
      [consumer, event.id, nameOf(event)],
    );
    // In the server, so that most outages meet a statement that runs.
    await sql.query('SELECT pg_sleep(0.002)::text AS slept');
  };
  const transactions: readonly [string, (work: (sql: Sql) => Promise<void>) => Promise<void>][] = [
    ['pg', (work) => inTransaction(pool, work)],
    ['prisma', (work) => prisma.$transaction((transaction) => work(sqlOfPrisma(transaction)))],
  ];
  const metrics = new Registry();
  const consumers = transactions.map(([name, transact]) =>
    createConsumer({
      name,
      topics: [topic],
      bus,
      pool,
      log: silentLog,
      metrics,
      maxBatchSize: 5,
      retryDelaysMs: [0, 1, 1],
      handle: (events) =>
        transact(async (sql) => {
          for (const { event } of events) await effect(sql, name, event);
        }),
    }),
  );
  try {
    for (const consumer of consumers) await consumer.start();
    let publishing = true;
    let published = 0;
    const publisher = (async () => {
      while (publishing) {
        // A name that was refused may have been stored: its repetition is the same event.
        const record = named(String(published));
        await eventually(() => bus.publish(topic, [record]), 60_000);
        published += 1;
        await pause(1);
      }
    })();
    const done = async (consumer: string) => {
      const { rows } = await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM effects WHERE consumer = $1', [
        consumer,
      ]);
      return rows[0]?.n ?? 0;
    };
    for (const outage of ['stop', 'kill', 'stop', 'kill'] as const) {
      for (const [name] of transactions) {
        const before = await done(name);
        await eventually(async () => expect(await done(name)).toBeGreaterThan(before + 20));
      }
      if (outage === 'kill') process.kill(server.pid, 'SIGKILL');
      else await server.stop();
      for (const consumer of consumers) await eventually(() => expect(consumer.ready?.()).rejects.toThrow());
      server = await eventually(() => startEmbeddedPostgres({ directory: join(directory, 'postgres'), port }));
      for (const consumer of consumers) await eventually(() => consumer.ready?.());
    }
    publishing = false;
    await publisher;
    for (const [name] of transactions) await eventually(async () => expect(await done(name)).toBe(published));
    const { rows: dead } = await pool.query('SELECT consumer, cause FROM dead_letters.dead_letters');
    expect(dead).toEqual([]);
    for (const [name] of transactions) {
      const { rows } = await pool.query<{ name: string }>('SELECT name FROM effects WHERE consumer = $1 ORDER BY n', [
        name,
      ]);
      expect(rows.map((row) => row.name)).toEqual(Array.from({ length: published }, (_unused, index) => String(index)));
    }
  } finally {
    for (const consumer of consumers) await consumer.stop();
    await bus.close();
    await prisma.$disconnect();
    await pool.end();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
}, 120_000);
