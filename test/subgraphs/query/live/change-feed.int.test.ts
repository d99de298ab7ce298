import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { BusRecord, EventBus } from '../../../../backbone/bus/event-bus.js';
import { encodeChange, type Change } from '../../../../backbone/changes/change.js';
import { inTransaction, sqlOf } from '../../../../platform/database/sql.js';
import { createChangeFeed, type ChangeFeed } from '../../../../subgraphs/query/live/change-feed.js';
import { createQueryMetrics } from '../../../../subgraphs/query/query-metrics.js';
import { appendChanges } from '../../../../workers/projector/change-log.js';
import { createDatabase, silentLog, type TestDatabase } from '../../../world/database.js';
import { eventually } from '../../../world/eventually.js';
import { deviceChange } from './device-change.js';

let database: TestDatabase;
let tenants = 0;
const newTenant = (): string => `tenant-${(tenants += 1)}`;
const feeds: ChangeFeed[] = [];
beforeAll(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  for (const feed of feeds.splice(0)) await feed.stop();
});
afterAll(() => database[Symbol.asyncDispose]());

/** A wire that brings what it is told to, in the order it is told to: the bus at its worst. */
function createWire(): { tail: EventBus['tail']; bring(...changes: Change[]): void } {
  let handler: (records: readonly BusRecord[]) => void | Promise<void> = () => undefined;
  return {
    async tail(_topics, given) {
      handler = given;
      return { stop: async () => undefined, ready: async () => undefined };
    },
    bring(...changes) {
      void handler(
        changes.map((change) => ({ ...encodeChange(change), topic: 't', partition: 0, offset: 0n, timestampMs: 0 })),
      );
    },
  };
}

async function startFeed(settings: { pollMs?: number; gapWaitMs?: number } = {}) {
  const wire = createWire();
  const feed = createChangeFeed({
    sql: sqlOf(database.pool),
    // Only `tail` is used; the contract of the rest is tested with the adapters.
    bus: wire as unknown as EventBus,
    log: silentLog,
    metrics: createQueryMetrics(new Registry()),
    pollMs: 60_000,
    gapWaitMs: 60_000,
    ...settings,
  });
  feeds.push(feed);
  await feed.start();
  return { feed, wire };
}

/** Commits changes without telling anybody. */
async function commit(tenant: string, ...ids: string[]): Promise<Change[]> {
  const numbered = await inTransaction(database.pool, (sql) =>
    appendChanges(
      sql,
      ids.map((id) => {
        const { seq: _seq, at: _at, ...rest } = deviceChange(1, id, tenant);
        return { ...rest, traceparent: undefined };
      }),
    ),
  );
  return numbered.map(({ change }) => change);
}

async function listen(feed: ChangeFeed, tenant: string, id?: string) {
  const changes: Change[] = [];
  let losses = 0;
  const watch = await feed.watch(tenant, id, { change: (change) => changes.push(change), lost: () => (losses += 1) });
  return { ...watch, ids: () => changes.map((change) => change.id), losses: () => losses };
}

test('puts in order what the bus brings in any order, twice, and of other tenants', async () => {
  const { feed, wire } = await startFeed();
  const tenant = newTenant();
  await commit(tenant, 'before');
  const listener = await listen(feed, tenant);
  const [a, b, c] = await commit(tenant, 'a', 'b', 'c');
  const [other] = await commit(newTenant(), 'other');
  if (!a || !b || !c || !other) throw new Error('not committed');
  wire.bring(c, other);
  expect(listener.ids()).toEqual([]);
  wire.bring(a, a);
  wire.bring(c, b);
  expect(listener.ids()).toEqual(['a', 'b', 'c']);
});

test('gives a listener of one entity that one only', async () => {
  const { feed, wire } = await startFeed();
  const tenant = newTenant();
  const [one, all] = [await listen(feed, tenant, 'b'), await listen(feed, tenant)];
  wire.bring(...(await commit(tenant, 'a', 'b', 'c', 'b')));
  expect(one.ids()).toEqual(['b', 'b']);
  expect(all.ids()).toEqual(['a', 'b', 'c', 'b']);
  one.stop();
  wire.bring(...(await commit(tenant, 'b')));
  expect(one.ids()).toEqual(['b', 'b']);
});

test('reads from the log what the bus leaves out, once the gap has been open for a while', async () => {
  const { feed, wire } = await startFeed({ gapWaitMs: 20 });
  const tenant = newTenant();
  const listener = await listen(feed, tenant);
  const changes = await commit(tenant, ...Array.from({ length: 2_500 }, (_, n) => `device-${n}`));
  wire.bring(...changes.slice(-1));
  await eventually(() => expect(listener.ids()).toHaveLength(2_500));
  expect(listener.ids()).toEqual(changes.map(({ id }) => id));
});

test('finds by a poll what was never published', async () => {
  const { feed } = await startFeed({ pollMs: 20, gapWaitMs: 20 });
  const tenant = newTenant();
  const listener = await listen(feed, tenant);
  await commit(tenant, 'a');
  await commit(tenant, 'b');
  await eventually(() => expect(listener.ids()).toEqual(['a', 'b']));
});

test('misses nothing that commits after `watch` resolved, also when many watch at once', async () => {
  const { feed, wire } = await startFeed();
  const tenant = newTenant();
  for (let round = 0; round < 20; round += 1) {
    const listeners = await Promise.all(Array.from({ length: 3 }, () => listen(feed, tenant)));
    const id = `round-${round}`;
    wire.bring(...(await commit(tenant, id)));
    for (const listener of listeners) {
      expect(listener.ids()).toEqual([id]);
      // All of them leave, so that the next round begins with a tenant that nobody watches.
      listener.stop();
    }
    await commit(tenant, 'while nobody watched');
  }
});

test('says so when the log has lost what was to come, and goes on behind it', async () => {
  const { feed } = await startFeed({ pollMs: 20, gapWaitMs: 20 });
  const tenant = newTenant();
  const listener = await listen(feed, tenant);
  const client = await database.pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(`INSERT INTO projections.change_clocks (tenant, seq) VALUES ($1, 7)`, [tenant]);
    await client.query('COMMIT');
  } finally {
    client.release();
  }
  await eventually(() => expect(listener.losses()).toBe(1));
  await commit(tenant, 'after');
  await eventually(() => expect(listener.ids()).toEqual(['after']));
});

test('a change that can not be decoded is read from the log', async () => {
  const { feed, wire } = await startFeed({ pollMs: 20, gapWaitMs: 20 });
  const tenant = newTenant();
  const listener = await listen(feed, tenant);
  const [change] = await commit(tenant, 'a');
  if (!change) throw new Error('not committed');
  wire.bring({ ...change, payload: 'nonsense' } as unknown as Change);
  await eventually(() => expect(listener.ids()).toEqual(['a']));
});
