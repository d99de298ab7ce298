import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StreamMark } from '../../../../platform/graphql/stream-contract.js';
import { sqlOf } from '../../../../platform/database/sql.js';
import { createChangeFeed, type ChangeFeed } from '../../../../subgraphs/query/live/change-feed.js';
import { deviceStatesStream, deviceStateStream } from '../../../../subgraphs/query/live/device-streams.js';
import { eventStream } from '../../../../subgraphs/query/live/event-stream.js';
import { fleetStream } from '../../../../subgraphs/query/live/fleet-stream.js';
import type { LiveOptions, Stream, WithCursor } from '../../../../subgraphs/query/live/stream.js';
import { createQueryMetrics } from '../../../../subgraphs/query/query-metrics.js';
import { silentLog } from '../../../world/database.js';
import { eventually, within } from '../../../world/eventually.js';
import { startReadSide, type ReadSide } from '../read-side.js';

let side: ReadSide;
let live: LiveOptions;
let feed: ChangeFeed;
let tenants = 0;
const newTenant = (): string => `phases-${(tenants += 1)}`;
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

type Item<Payload> = WithCursor<Payload> | StreamMark;

async function take<T>(stream: AsyncGenerator<T, void, undefined>): Promise<T> {
  const result = await within(stream.next(), 10_000, 'the next item');
  if (result.done === true) throw new Error('the stream has ended');
  return result.value;
}

function isMark(item: object): item is StreamMark {
  return 'mark' in item;
}

async function takeMark<Payload>(stream: AsyncGenerator<Item<Payload>, void, undefined>): Promise<StreamMark['mark']> {
  const item = await take(stream);
  if (!isMark(item)) throw new Error(`no mark but ${JSON.stringify(item)}`);
  return item.mark;
}

/** All pages, and the mark of the last one. `between` is called after each page. */
async function catchUp<Payload extends object>(
  stream: Stream<Payload>,
  between: () => Promise<void> = async () => undefined,
): Promise<{ payloads: WithCursor<Payload>[]; mark: StreamMark['mark']; pages: number }> {
  const payloads: WithCursor<Payload>[] = [];
  let page: string | undefined;
  for (let pages = 1; ; pages += 1) {
    let mark: StreamMark['mark'] | undefined;
    for await (const item of stream.phase({ phase: 'catchUp', ...(page === undefined ? {} : { page }) })) {
      expect(mark).toBe(undefined);
      if (isMark(item)) mark = item.mark;
      else payloads.push(item);
    }
    if (mark === undefined) throw new Error('a page without a mark');
    if (mark.next === undefined) return { payloads, mark, pages };
    page = mark.next;
    await between();
  }
}

test('live and catch-up fit together: no device misses a version, none gets one twice, while all of them change', async () => {
  const tenant = newTenant();
  const ids = Array.from({ length: 1_100 }, (_, n) => `${tenant}-${String(n).padStart(4, '0')}`);
  const everyone = async (n: number): Promise<void> => {
    await Promise.all(ids.map((id) => side.telemetry(tenant, id, { n })));
  };
  await everyone(0);
  const stored = async (n: number): Promise<void> =>
    eventually(async () => {
      const { rows } = await side.database.pool.query<{ n: number }>(
        `SELECT count(*)::int AS n FROM projections.device_states WHERE tenant = $1 AND metrics->'n'->'value' = $2`,
        [tenant, String(n)],
      );
      expect(rows[0]?.n).toBe(ids.length);
    }, 30_000);
  await stored(0);

  const stream = deviceStatesStream(live, tenant, {});
  const following = stream.phase({ phase: 'live' });
  expect(BigInt((await takeMark(following)).position ?? -1)).toBeGreaterThan(0n);
  // Every page of the snapshot is of another moment.
  let round = 0;
  const { payloads, mark, pages } = await catchUp(stream, async () => {
    if (round < 3) {
      await everyone((round += 1));
      await stored(round);
    }
  });
  expect(pages).toBeGreaterThan(3);
  await everyone((round += 1));

  const versions = new Map<string, number>();
  const accept = ({ device, state }: (typeof payloads)[number]): void => {
    const version = state?.version ?? 0;
    expect(version).toBeGreaterThan(versions.get(device.id) ?? 0);
    versions.set(device.id, version);
  };
  payloads.forEach(accept);
  const behind = BigInt(mark.position ?? -1);
  while (!ids.every((id) => versions.get(id) === round + 1)) {
    const item = await take(following);
    if (isMark(item)) throw new Error('a second mark');
    expect(item.place.key).toBe(item.device.id);
    if (BigInt(item.place.position ?? -1) > behind) accept(item);
  }
  await following.return();
}, 60_000);

test('live goes on behind a cursor, with what came meanwhile', async () => {
  const tenant = newTenant();
  await side.register(tenant, 'one');
  const begun = eventStream(live, tenant, {}).phase({ phase: 'live' });
  const { cursor } = await takeMark(begun);
  await begun.return();
  // Where it began may be before or after the first event was stored; what matters is what comes behind.
  for (const name of ['two', 'three', 'four']) await side.register(tenant, name);
  const resumed = eventStream(live, tenant, { since: cursor ?? '' }).phase({ phase: 'live' });
  expect((await takeMark(resumed)).cursor).toBe(cursor);
  const subjects: string[] = [];
  // Each once; which of different devices comes first nobody has promised.
  const later = (): string[] => subjects.filter((subject) => subject !== 'one');
  while (later().length < 3) {
    const item = await take(resumed);
    if (!isMark(item)) subjects.push(item.event.subject);
  }
  expect(later().sort()).toEqual(['four', 'three', 'two']);
  await resumed.return();
});

test('a replay is paged, too, and ends where the log ends', async () => {
  const tenant = newTenant();
  const subjects = Array.from({ length: 450 }, (_, n) => `device-${n}`);
  for (const subject of subjects) await side.register(tenant, subject);
  let logged: string[] = [];
  await eventually(async () => {
    const { rows } = await side.database.pool.query<{ subject: string }>(
      'SELECT subject FROM projections.event_log WHERE tenant = $1 ORDER BY seq',
      [tenant],
    );
    expect(rows).toHaveLength(subjects.length);
    logged = rows.map(({ subject }) => subject);
  });
  const since = Buffer.from(JSON.stringify({ t: tenant, k: 'events', s: '0' })).toString('base64url');
  const { payloads, mark, pages } = await catchUp(eventStream(live, tenant, { since }));
  expect(payloads.map(({ event }) => event.subject)).toEqual(logged);
  expect(pages).toBe(3);
  expect(mark.position).toBe(payloads.at(-1)?.place.position);
  expect(payloads.every(({ place }) => place.key === undefined)).toBe(true);
});

test('a page of another tenant or another stream is refused', async () => {
  const tenant = newTenant();
  const page = Buffer.from(JSON.stringify({ t: 'other', k: 'deviceStates', p: [] })).toString('base64url');
  for (const text of [page, 'nonsense', Buffer.from('{"t":1}').toString('base64url')]) {
    const reading = deviceStatesStream(live, tenant, {}).phase({ phase: 'catchUp', page: text });
    await expect(reading.next()).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  }
});

test('the state of one device, and the summary of the fleet, are caught up with in one page', async () => {
  const tenant = newTenant();
  await side.telemetry(tenant, `${tenant}-d`, { n: 7 });
  await eventually(async () => {
    const { payloads, mark } = await catchUp(deviceStateStream(live, tenant, { deviceId: `${tenant}-d` }));
    expect(payloads).toMatchObject([{ snapshot: true, state: { version: 1 } }]);
    expect(payloads[0]?.cursor).toBe(mark.cursor);
  });
  const { payloads, mark } = await catchUp(fleetStream(live, tenant, {}));
  expect(payloads).toHaveLength(1);
  expect(payloads[0]?.place).toEqual({ cursor: mark.cursor, position: mark.position, key: 'fleet' });
});
