/**
 * PostgreSQL goes away under load, once in good order and twice by kill -9, with fsync as in production. What counts:
 * every record whose publish resolved is consumed, and those of a key are first seen in the order in which they were
 * published. Repetitions are allowed.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EventBus } from '../../../../backbone/bus/event-bus.js';
import { createPostgresBus } from '../../../../backbone/bus/postgres/postgres-bus.js';
import { migrate } from '../../../../platform/database/migrate.js';
import { createPool } from '../../../../platform/database/pool.js';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../platform/embedded/postgres.js';
import { pause } from '../../../../platform/lifecycle/wait.js';
import { silentLog } from '../../../world/database.js';
import { eventually } from '../../../world/eventually.js';
import { record } from '../contract.js';

const topic = 'chaos';
const group = 'consumers';
const outages = ['restart', 'kill', 'kill'] as const;

let directory: string;
let server: EmbeddedPostgres;
const pools: pg.Pool[] = [];
const buses: EventBus[] = [];

const start = (port?: number): Promise<EmbeddedPostgres> =>
  startEmbeddedPostgres({ directory: join(directory, 'postgres'), ...(port === undefined ? {} : { port }) });

const openBus = (): EventBus => {
  const pool = createPool({ url: server.url, size: 5, applicationName: 'chaos', log: silentLog });
  const bus = createPostgresBus({
    pool,
    databaseUrl: server.url,
    log: silentLog,
    metrics: new Registry(),
    leaseTtlMs: 1_500,
  });
  pools.push(pool);
  buses.push(bus);
  return bus;
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-bus-chaos-'));
  await chmod(directory, 0o755);
  server = await start();
  await migrate(server.url);
});

afterAll(async () => {
  for (const bus of buses) await bus.close();
  for (const pool of pools) await pool.end();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Publishes 0, 1, 2 … of one key, three calls at a time without awaiting each; repeats, in order, what was rejected. */
async function publishKey(
  bus: EventBus,
  key: string,
  signal: AbortSignal,
): Promise<{ published: number; rejected: number }> {
  let published = 0;
  let rejected = 0;
  while (!signal.aborted) {
    const calls = await Promise.allSettled(
      [0, 1, 2].map((ahead) => bus.publish(topic, [record(key, String(published + ahead))])),
    );
    const failed = calls.findIndex(({ status }) => status === 'rejected');
    if (failed === -1) published += calls.length;
    else {
      // Nothing behind a rejected call may have been stored in front of it, so its successors are repeated too.
      published += failed;
      rejected += 1;
      await pause(20);
    }
  }
  return { published, rejected };
}

test('loses nothing that was acknowledged, and keeps the order of each key, while PostgreSQL restarts and is killed', async () => {
  const producers = [openBus(), openBus()];
  const consumers = [openBus(), openBus()];
  await producers[0]?.ensureTopics([{ name: topic, partitions: 4, retentionMs: 3_600_000 }]);
  const seen = new Map<string, Set<number>>();
  const outOfOrder: string[] = [];
  let consumed = 0;
  for (const consumer of consumers)
    await consumer.subscribe({ group, topics: [topic], maxBatchSize: 50 }, async ({ records, signal }) => {
      await pause(2, signal);
      for (const { key, value } of records) {
        const own = seen.get(key) ?? new Set<number>();
        seen.set(key, own);
        if (!own.has(Number(value)) && Number(value) !== own.size)
          outOfOrder.push(`${key}: ${value} after ${own.size}`);
        own.add(Number(value));
        consumed += 1;
      }
    });
  const tailed = new Set<string>();
  await consumers[0]?.tail([topic], (records) => {
    for (const { key, value } of records) tailed.add(`${key} ${value}`);
  });

  const stop = new AbortController();
  const keys = Array.from({ length: 8 }, (_, index) => `device-${index}`);
  const publishing = Promise.all(
    keys.map((key, index) => publishKey(producers[index % 2] as EventBus, key, stop.signal)),
  );
  for (const outage of outages) {
    const before = consumed;
    await eventually(() => expect(consumed).toBeGreaterThan(before + 2_000), 20_000);
    const { port } = server;
    if (outage === 'restart') await server.stop();
    else process.kill(server.pid, 'SIGKILL');
    await pause(300);
    // The backends of a postmaster that was killed need a moment to notice.
    server = await eventually(() => start(port), 30_000);
  }
  const before = consumed;
  await eventually(() => expect(consumed).toBeGreaterThan(before + 2_000), 20_000);
  stop.abort();
  const results = await publishing;

  await eventually(async () => expect((await producers[0]?.lag(group))?.get(topic)).toBe(0), 20_000);
  expect(outOfOrder).toEqual([]);
  for (const [index, key] of keys.entries()) {
    const { published = 0 } = results[index] ?? {};
    expect(published).toBeGreaterThan(50);
    const acknowledged = Array.from({ length: published }, (_, number) => number);
    expect(acknowledged.filter((number) => !seen.get(key)?.has(number))).toEqual([]);
    await eventually(() => expect(acknowledged.filter((number) => !tailed.has(`${key} ${number}`))).toEqual([]));
  }
  // The outages were felt: otherwise this test would have shown nothing.
  expect(results.reduce((sum, { rejected }) => sum + rejected, 0)).toBeGreaterThanOrEqual(outages.length);
}, 120_000);
