/** Streams of a device or command that does not exist, or that the read side has not heard of yet. */
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sqlOf } from '../../../../platform/database/sql.js';
import { createChangeFeed, type ChangeFeed } from '../../../../subgraphs/query/live/change-feed.js';
import { commandStream } from '../../../../subgraphs/query/live/command-stream.js';
import { deviceStateStream, telemetryStream } from '../../../../subgraphs/query/live/device-streams.js';
import { encodeResumeCursor, type StreamName } from '../../../../subgraphs/query/live/resume-cursor.js';
import type { LiveOptions, Stream } from '../../../../subgraphs/query/live/stream.js';
import { deviceTwinStream } from '../../../../subgraphs/query/live/twin-stream.js';
import { createQueryMetrics } from '../../../../subgraphs/query/query-metrics.js';
import { silentLog } from '../../../world/database.js';
import { eventually, within } from '../../../world/eventually.js';
import { startReadSide, type ReadSide } from '../read-side.js';

let side: ReadSide;
let live: LiveOptions;
let feed: ChangeFeed;
let tenants = 0;
const newTenant = (): string => `unknown-${(tenants += 1)}`;
beforeAll(async () => {
  // Longer than any test waits: whatever is refused here is refused at once.
  side = await startReadSide({ CONSISTENCY_TIMEOUT_MS: '120000' });
  const sql = sqlOf(side.database.pool);
  const metrics = createQueryMetrics(new Registry());
  feed = createChangeFeed({ sql, bus: side.bus, log: silentLog, metrics });
  await feed.start();
  live = { sql, feed, metrics, timeoutMs: 120_000 };
});
afterAll(async () => {
  await feed.stop();
  await side[Symbol.asyncDispose]();
});

type Open = (options: LiveOptions, tenant: string, id: string, since?: string) => Stream<object>;

const streams: readonly { readonly name: StreamName; readonly field: string; readonly open: Open }[] = [
  {
    name: 'deviceState',
    field: 'deviceId',
    open: (options, tenant, deviceId, since) => deviceStateStream(options, tenant, { deviceId, since: since ?? null }),
  },
  {
    name: 'telemetry',
    field: 'deviceId',
    open: (options, tenant, deviceId, since) => telemetryStream(options, tenant, { deviceId, since: since ?? null }),
  },
  {
    name: 'deviceTwin',
    field: 'deviceId',
    open: (options, tenant, deviceId, since) => deviceTwinStream(options, tenant, { deviceId, since: since ?? null }),
  },
  {
    name: 'command',
    field: 'id',
    open: (options, tenant, id, since) => commandStream(options, tenant, { id, since: since ?? null }),
  },
];

const request = {
  follow: (stream: Stream<object>) => stream.follow(),
  live: (stream: Stream<object>) => stream.phase({ phase: 'live' }),
  catchUp: (stream: Stream<object>) => stream.phase({ phase: 'catchUp' }),
};
const ways = Object.entries(request).map(([way, begin]) => ({ way, begin }));

async function first<T>(stream: AsyncGenerator<T, void, undefined>): Promise<T | undefined> {
  const next = await within(stream.next(), 10_000, 'the first item');
  await stream.return();
  return next.done === true ? undefined : next.value;
}

describe.each(streams)('$name', ({ name, field, open }) => {
  /** Appends the event that makes the subject, and gives what publishes it. */
  async function make(tenant: string, id: string): Promise<() => Promise<unknown>> {
    const expiresAt = '2030-01-01T00:00:00Z';
    const event =
      name === 'command'
        ? await side.store(tenant, `command-${id}`, 'io.fleetgraph.command.requested.v1', {
            commandId: id,
            deviceId: 'd',
            name: 'n',
            parameters: {},
            expiresAt,
          })
        : await side.store(tenant, `device-${id}`, 'io.fleetgraph.device.registered.v1', {
            deviceId: id,
            name: id,
            typeId: 'boiler',
            labels: {},
          });
    return () => side.relay(event);
  }

  test.each(ways)('of an id that does not exist is refused at once with NOT_FOUND ($way)', async ({ begin }) => {
    const tenant = newTenant();
    for (const since of [undefined, encodeResumeCursor(tenant, name, 0n)])
      for (const id of ['nope', '', '🛸', 'x'.repeat(100_000)])
        await expect(first(begin(open(live, tenant, id, since)))).rejects.toMatchObject({ code: 'NOT_FOUND', field });
  });

  test.each(ways)('of another tenant is refused with NOT_FOUND ($way)', async ({ begin }) => {
    const owner = newTenant();
    await (
      await make(owner, `${owner}-it`)
    )();
    await first(begin(open(live, owner, `${owner}-it`)));
    await expect(first(begin(open(live, newTenant(), `${owner}-it`)))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test.each(ways)('that was made a moment ago is waited for ($way)', async ({ begin }) => {
    const tenant = newTenant();
    const publish = await make(tenant, `${tenant}-it`);
    const waiting = first(begin(open(live, tenant, `${tenant}-it`)));
    await publish();
    expect(await waiting).toBeDefined();
  });

  test.each(ways)('that the read side does not hear of in time is UNAVAILABLE ($way)', async ({ begin }) => {
    const tenant = newTenant();
    await make(tenant, `${tenant}-it`);
    const impatient = { ...live, timeoutMs: 100 };
    await expect(first(begin(open(impatient, tenant, `${tenant}-it`)))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

test('a refused stream lets go of the feed and is not counted as running', async () => {
  await expect(first(deviceStateStream(live, newTenant(), { deviceId: 'nope' }).follow())).rejects.toThrow();
  const { values } = await live.metrics.subscriptions.get();
  expect(values.find(({ labels }) => labels.stream === 'deviceState')?.value).toBe(0);
});

test('over a socket the operation ends alone, with one error and its field', async () => {
  const tenant = newTenant();
  const operations = [
    ['subscription { deviceState(deviceId: "nope") { cursor } }', 'deviceId'],
    ['subscription { telemetry(deviceId: "") { cursor } }', 'deviceId'],
    ['subscription { deviceTwin(deviceId: "nope") { twin { inSync } } }', 'deviceId'],
    ['subscription { command(id: "nope") { status } }', 'id'],
  ] as const;
  for (const [query, field] of operations) {
    const subscriber = await side.subscribe(tenant, query);
    await eventually(() => expect(subscriber.ended()).toBe(true));
    expect(subscriber.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND', field } }]);
    expect(subscriber.received).toEqual([]);
  }
});

test('a decommissioned device exists: its streams begin as before, and those that run go on', async () => {
  const tenant = newTenant();
  const deviceId = `${tenant}-device`;
  await side.register(tenant, deviceId);
  const stream = deviceStateStream(live, tenant, { deviceId });
  const running = stream.follow();
  await within(running.next(), 10_000, 'the snapshot');
  await side.event(tenant, 'io.fleetgraph.device.decommissioned.v1', { deviceId });
  await eventually(async () => {
    const { rows } = await side.database.pool.query('SELECT active FROM projections.devices WHERE device_id = $1', [
      deviceId,
    ]);
    expect(rows).toEqual([{ active: false }]);
  });
  expect(await first(stream.follow())).toMatchObject({ snapshot: true });
  await side.telemetry(tenant, deviceId, { n: 1 });
  const { value } = await within(running.next(), 10_000, 'the next change');
  expect(value).toMatchObject({ snapshot: false, state: { version: 1 } });
  await running.return();
});
