/** What the bus on PostgreSQL takes and gives, beside the disk and the processor of this machine: a server of its own, with fsync. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import type { EventBus, OutgoingRecord } from '../backbone/bus/event-bus.js';
import { createPostgresBus } from '../backbone/bus/postgres/postgres-bus.js';
import { encode, makeEvent } from '../backbone/events/envelope.js';
import { migrate } from '../platform/database/migrate.js';
import { createPool } from '../platform/database/pool.js';
import { startEmbeddedPostgres } from '../platform/embedded/postgres.js';
import { createLogger } from '../platform/observability/logger.js';
import { quantile, round, type Section } from './section.js';

const partitions = 8;
const seconds = 5;
const callersAtOnce = [1, 100, 2_000];

/** Publishes and consumes telemetry records of the usual size. */
export async function measureBus(): Promise<Section> {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-bench-bus-'));
  // PostgreSQL runs as another user where this runs as root.
  await chmod(directory, 0o755);
  const server = await startEmbeddedPostgres({ directory: join(directory, 'postgres') });
  await migrate(server.url);
  const log = createLogger({ level: 'warn', pretty: false });
  const pool = createPool({ url: server.url, size: 10, applicationName: 'bench-bus', log });
  const bus = createPostgresBus({ pool, databaseUrl: server.url, log, metrics: new Registry() });
  const rows: (string | number)[][] = [];
  try {
    await bus.ensureTopics([{ name: 'bench', partitions, retentionMs: 3_600_000 }]);
    for (const callers of callersAtOnce) rows.push(await measurePublishing(bus, callers, 1));
    rows.push(await measurePublishing(bus, 50, 100));
    rows.push(await measureBacklog(bus));
    rows.push(await measureEndToEnd(bus, 200));
  } finally {
    await bus.close();
    await pool.end();
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
  return {
    title: 'Event bus on PostgreSQL',
    method: `One topic of ${partitions} partitions, CloudEvents of about 600 bytes, publisher, consumer and PostgreSQL (fsync on) on one machine, ${seconds} s each.`,
    columns: ['what', 'records/s', 'p50 ms', 'p99 ms', 'CPU of Node.js, µs/record'],
    rows,
  };
}

/** `callers` that publish `size` records in a call, each waiting for its call before the next. */
async function measurePublishing(bus: EventBus, callers: number, size: number): Promise<(string | number)[]> {
  const latencies: number[] = [];
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  let published = 0;
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      const records = Array.from({ length: size }, (__, index) => telemetry(`device-${caller}-${index}`));
      while (performance.now() - startedAt < seconds * 1_000) {
        const calledAt = performance.now();
        await bus.publish('bench', records);
        latencies.push(performance.now() - calledAt);
        published += size;
      }
    }),
  );
  const what = `publish: ${callers} callers, ${size} ${size === 1 ? 'record' : 'records'} a call`;
  return row(what, published, performance.now() - startedAt, latencies, process.cpuUsage(cpu));
}

/** A new group takes everything that was published so far. */
async function measureBacklog(bus: EventBus): Promise<(string | number)[]> {
  const total = (await countRecords(bus)) || 1;
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  let consumed = 0;
  await new Promise<void>((resolve) => {
    void bus.subscribe({ group: 'backlog', topics: ['bench'] }, async ({ records }) => {
      consumed += records.length;
      if (consumed >= total) resolve();
    });
  });
  return row(
    'consume a backlog, handler does nothing',
    consumed,
    performance.now() - startedAt,
    [],
    process.cpuUsage(cpu),
  );
}

async function countRecords(bus: EventBus): Promise<number> {
  const probe = await bus.subscribe({ group: 'probe', topics: ['bench'] }, () => new Promise(() => undefined));
  const lag = (await bus.lag('probe')).get('bench') ?? 0;
  void probe.stop();
  return lag;
}

/** Publishers and a consumer at once; the latency is from the call of publish to the handler. */
async function measureEndToEnd(bus: EventBus, callers: number): Promise<(string | number)[]> {
  const latencies: number[] = [];
  const sentAt = new Map<string, number>();
  let consumed = 0;
  const subscription = await bus.subscribe(
    { group: 'end-to-end', topics: ['bench'], from: 'latest' },
    async ({ records }) => {
      const now = performance.now();
      for (const { key } of records) latencies.push(now - (sentAt.get(key) ?? now));
      consumed += records.length;
    },
  );
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let turn = 0; performance.now() - startedAt < seconds * 1_000; turn += 1) {
        const record = telemetry(`device-${caller}-${turn}`);
        sentAt.set(record.key, performance.now());
        await bus.publish('bench', [record]);
      }
    }),
  );
  const elapsedMs = performance.now() - startedAt;
  const used = process.cpuUsage(cpu);
  await subscription.stop();
  return row(`end to end: ${callers} callers, 1 record a call`, consumed, elapsedMs, latencies, used);
}

/** The record of one reading, as the bridge makes it. */
function telemetry(deviceId: string): OutgoingRecord {
  return { ...usual, key: deviceId };
}

const usual = encode(
  makeEvent({
    source: '/bridge',
    type: 'io.fleetgraph.telemetry.received.v1',
    subject: 'device',
    tenant: 'bench',
    data: { deviceId: 'device', readings: [{ metric: 'temperature', at: 1_700_000_000_000, value: 21.5 }] },
  }),
);

function row(
  what: string,
  records: number,
  elapsedMs: number,
  latencies: readonly number[],
  cpu: NodeJS.CpuUsage,
): (string | number)[] {
  return [
    what,
    Math.round((records / elapsedMs) * 1_000),
    latencies.length === 0 ? '' : round(quantile(latencies, 0.5)),
    latencies.length === 0 ? '' : round(quantile(latencies, 0.99)),
    round((cpu.user + cpu.system) / records),
  ];
}
