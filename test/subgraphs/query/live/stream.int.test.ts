import { afterAll, beforeAll, expect, test } from 'vitest';
import { Registry } from 'prom-client';
import { inTransaction, sqlOf } from '../../../../platform/database/sql.js';
import { createChangeFeed, type ChangeFeed } from '../../../../subgraphs/query/live/change-feed.js';
import {
  deviceStatesStream,
  deviceStateStream,
  telemetryStream,
  type DeviceStateUpdate,
} from '../../../../subgraphs/query/live/device-streams.js';
import { eventStream } from '../../../../subgraphs/query/live/event-stream.js';
import type { LiveOptions, WithCursor } from '../../../../subgraphs/query/live/stream.js';
import { createQueryMetrics } from '../../../../subgraphs/query/query-metrics.js';
import { eventually, within } from '../../../world/eventually.js';
import { silentLog } from '../../../world/database.js';
import { appendChanges } from '../../../../workers/projector/change-log.js';
import { startReadSide, type ReadSide } from '../read-side.js';
import { deviceChange } from './device-change.js';

let side: ReadSide;
let live: LiveOptions;
let feed: ChangeFeed;
let tenants = 0;
const newTenant = (): string => `tenant-${(tenants += 1)}`;
beforeAll(async () => {
  side = await startReadSide();
  const sql = sqlOf(side.database.pool);
  const metrics = createQueryMetrics(new Registry());
  feed = createChangeFeed({ sql, bus: side.bus, log: silentLog, metrics });
  await feed.start();
  live = { sql, feed, metrics, timeoutMs: 5_000 };
});
afterAll(async () => {
  await feed.stop();
  await side[Symbol.asyncDispose]();
});

async function clockOf(tenant: string): Promise<bigint> {
  const { rows } = await side.database.pool.query<{ seq: bigint }>(
    'SELECT seq FROM projections.change_clocks WHERE tenant = $1',
    [tenant],
  );
  return rows[0]?.seq ?? 0n;
}

/** Resolves when the feed has given everything up to now to those who watch. */
async function settled(tenant: string): Promise<void> {
  const marker = `${tenant}-marker-${Math.random()}`;
  let seen = false;
  const watch = await feed.watch(tenant, marker, { change: () => (seen = true), lost: () => undefined });
  await side.telemetry(tenant, marker, { m: 1 });
  await eventually(() => expect(seen).toBe(true));
  watch.stop();
}

async function take<T>(stream: AsyncGenerator<T, void, undefined>): Promise<T> {
  const result = await within(stream.next(), 5_000, 'the next payload');
  if (result.done === true) throw new Error('the stream has ended');
  return result.value;
}

test('a client that does not read gets the latest state of each device, and those behind its cursor after a reconnect', async () => {
  const tenant = newTenant();
  const ids = ['a', 'b', 'c'].map((name) => `${tenant}-${name}`);
  const filter = { deviceIds: ids };
  const stream = deviceStatesStream(live, tenant, { filter }).follow();
  const first = stream.next();
  for (let n = 1; n <= 30; n += 1) {
    for (const id of ids) await side.telemetry(tenant, id, { n });
    if (n === 1) await within(first, 5_000, 'the first payload');
  }
  const target = await eventually(async () => {
    const { rows } = await side.database.pool.query<{ device_id: string; version: bigint }>(
      `SELECT device_id, version FROM projections.device_states WHERE tenant = $1 AND metrics->'n'->'value' = '30'`,
      [tenant],
    );
    expect(rows).toHaveLength(ids.length);
    return new Map(rows.map((row) => [row.device_id, Number(row.version)]));
  });
  await settled(tenant);
  const seen = new Map<string, number>();
  let payloads = 0;
  let cursor = '';
  while ([...target].some(([id, version]) => seen.get(id) !== version)) {
    const payload = await take(stream);
    // Versions of a device only grow: no state comes twice and none goes back.
    expect(payload.state?.version).toBeGreaterThan(seen.get(payload.device.id) ?? 0);
    seen.set(payload.device.id, payload.state?.version ?? 0);
    payloads += 1;
    cursor = payload.cursor;
  }
  // Two rounds at most: what was waiting, and what came meanwhile.
  expect(payloads).toBeLessThanOrEqual(2 * target.size);
  await stream.return();
  for (const id of ids) await side.telemetry(tenant, id, { n: 31 });
  const resumed = deviceStatesStream(live, tenant, { filter, since: cursor }).follow();
  const rest = new Map<string, number | undefined>();
  for (const _ of ids) {
    const { device, state } = await take(resumed);
    rest.set(device.id, state?.version);
  }
  expect(rest).toEqual(new Map(ids.map((id) => [id, (target.get(id) ?? 0) + 1])));
  await resumed.return();
});

test('a client of a stream of facts that falls too far behind gets an error, and misses nothing when it resumes', async () => {
  const tenant = newTenant();
  const stream = eventStream(live, tenant, {}).follow();
  const first = stream.next();
  await eventually(async () =>
    expect(
      (await live.metrics.subscriptions.get()).values.find(({ labels }) => labels.stream === 'events')?.value,
    ).toBe(1),
  );
  // The position is read after the feed is watched: the first event comes once both are done.
  let sent = 0;
  const send = async (count: number): Promise<void> => {
    await Promise.all(Array.from({ length: count }, () => side.register(tenant, `device-${(sent += 1)}`)));
  };
  await eventually(async () => {
    await send(1);
    await within(first, 200, 'the first event');
  });
  const { value } = await first;
  if (!value) throw new Error('no event');
  await send(1_100);
  await eventually(async () => expect(await clockOf(tenant)).toBe(BigInt(sent)), 30_000);
  await settled(tenant);
  await expect(
    (async () => {
      for await (const _ of stream);
    })(),
  ).rejects.toMatchObject({ code: 'LAGGED', message: expect.stringMatching(/cursor/) as string });
  const resumed = eventStream(live, tenant, { since: value.cursor }).follow();
  const ids: string[] = [value.event.id];
  const { rows } = await side.database.pool.query<{ id: string }>(
    'SELECT id FROM projections.event_log WHERE tenant = $1 ORDER BY seq',
    [tenant],
  );
  const all = rows.map(({ id }) => id);
  const start = all.indexOf(value.event.id);
  while (ids.length < all.length - start) ids.push((await take(resumed)).event.id);
  expect(ids).toEqual(all.slice(start));
  await resumed.return();
}, 60_000);

test('what overflows while a client is still catching up is read from the log', async () => {
  const tenant = newTenant();
  const id = `${tenant}-device`;
  const at = Date.now() - 100_000;
  const send = async (from: number, to: number): Promise<void> => {
    // One message a record, many records a batch: so changes are fewer than readings, and each has all of its readings.
    for (let n = from; n < to; n += 1) await side.telemetry(tenant, id, { n }, at + n);
  };
  await send(0, 300);
  await eventually(async () => {
    const { rows } = await side.database.pool.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM projections.readings WHERE device_id = $1`,
      [id],
    );
    expect(rows[0]?.n).toBe(300);
  });
  const since = Buffer.from(JSON.stringify({ t: tenant, k: 'telemetry', s: '0' })).toString('base64url');
  const stream = telemetryStream(live, tenant, { deviceId: id, since }).follow();
  const readings: unknown[] = (await take(stream)).readings.map(({ value }) => value);
  // The stream stands in the middle of the log now, while far more than its queue holds goes by.
  const { seq } = await sendDirectly(tenant, id, 1_200);
  await eventually(async () => expect(await clockOf(tenant)).toBeGreaterThanOrEqual(seq));
  await settled(tenant);
  await send(300, 301);
  while (readings.at(-1) !== 300) readings.push(...(await take(stream)).readings.map(({ value }) => value));
  const { rows } = await side.database.pool.query<{ payload: { readings: { value: unknown }[] } }>(
    'SELECT payload FROM projections.changes WHERE tenant = $1 AND entity_id = $2 ORDER BY seq',
    [tenant, id],
  );
  expect(readings).toEqual(rows.flatMap(({ payload }) => payload.readings.map(({ value }) => value)));
  expect(readings.length).toBe(1_501);
  await stream.return();
}, 60_000);

/** Adds changes of a device to the log, one each, without readings in the table. */
async function sendDirectly(tenant: string, id: string, count: number): Promise<{ readonly seq: bigint }> {
  const changes = await inTransaction(side.database.pool, (sql) =>
    appendChanges(
      sql,
      Array.from({ length: count }, (_, n) => {
        const { seq: _seq, at: _at, ...rest } = deviceChange(10_000 + n, id, tenant);
        return { ...rest, traceparent: undefined };
      }),
    ),
  );
  return { seq: changes.at(-1)?.change.seq ?? 0n };
}

test('deviceStates of more devices than a page: each device once, then every later version, while all of them change', async () => {
  const tenant = newTenant();
  const ids = Array.from({ length: 1_200 }, (_, n) => `${tenant}-${String(n).padStart(4, '0')}`);
  await Promise.all(ids.map((id) => side.telemetry(tenant, id, { n: 0 })));
  await eventually(async () => {
    const { rows } = await side.database.pool.query<{ n: number }>(
      'SELECT count(*)::int AS n FROM projections.device_states WHERE tenant = $1',
      [tenant],
    );
    expect(rows[0]?.n).toBe(1_200);
  }, 30_000);
  const stream = deviceStatesStream(live, tenant, {}).follow();
  const seen = new Map<string, number>();
  let cursor = '';
  const accept = ({ device, state, cursor: next }: WithCursor<DeviceStateUpdate>): void => {
    expect(state?.version).toBeGreaterThan(seen.get(device.id) ?? 0);
    seen.set(device.id, state?.version ?? 0);
    cursor = next;
  };
  for (let n = 0; n < 600; n += 1) accept(await take(stream));
  // Devices of pages that were sent, and of those that were not, change in the middle of the snapshot.
  await Promise.all(ids.filter((_, n) => n % 3 === 0).map((id) => side.telemetry(tenant, id, { n: 1 })));
  await eventually(async () => expect(await clockOf(tenant)).toBeGreaterThanOrEqual(1_600n), 30_000);
  await settled(tenant);
  // A client that leaves now must get the whole snapshot again: no cursor could tell what it has.
  const again = deviceStatesStream(live, tenant, { since: cursor }).follow();
  expect((await take(again)).snapshot).toBe(true);
  await again.return();
  const complete = (): boolean => ids.every((id, n) => seen.get(id) === (n % 3 === 0 ? 2 : 1));
  for (let n = 600; n < 1_800 && !complete(); n += 1) accept(await take(stream));
  expect(complete()).toBe(true);
  await stream.return();
}, 60_000);

test('leaving a stream that waits takes effect at once, and lets go of the feed', async () => {
  const tenant = newTenant();
  await side.register(tenant, 'd');
  const stream = deviceStateStream(live, tenant, { deviceId: 'd' }).follow();
  await take(stream);
  const waiting = stream.next();
  await within(stream.return(), 1_000, 'leaving');
  expect((await waiting).done).toBe(true);
});
