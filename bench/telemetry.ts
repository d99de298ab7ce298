/** (a) Telemetry from MQTT publish to queryable projection, beside the same broker with a subscriber that drops everything. */
import { connectAsync } from 'mqtt';
import pg from 'pg';
import { pause } from '../platform/lifecycle/wait.js';
import { connectFleet, publishFlatOut, publishSteadily } from './fleet.js';
import { startPlatformProcess, startProgram, type RunningPlatform } from './process.js';
import { summarizeProfile } from './profile.js';
import { quantile, ratio, round, type Section } from './section.js';

const devices = 50;
const window = 20;
const seconds = 10;
let published = 0;
/** No two alike in time: two readings of one device, metric and moment would be one. */
const payload = () => {
  published += 1;
  return JSON.stringify({ ts: Date.now() + (published % 1_000) / 1_000, values: { temperature: 21.5, pressure: 1.5 } });
};

const wins =
  'What keeps it up: messages that arrive in one turn of the event loop become durable in one transaction of the bus; the projector takes up to 500 records of a partition in one transaction of multi-row statements; no message has a statement of its own anywhere.';

export async function measureTelemetry(): Promise<Section> {
  const bare = await bareBroker();
  const { ingest, latency, profile } = await platformFigures();
  return {
    title: 'Telemetry: MQTT publish to queryable projection',
    method: `${devices} devices with ${window} QoS 1 messages in flight each (two metrics a message) for ${seconds} s. "Queryable" counts until the last message is committed in the projection. Latency is from the publish to the change's row, at a third of the throughput. The peer is the same broker (aedes) with one subscriber that drops everything. Load, broker, PostgreSQL and all roles share two cores.`,
    columns: ['', 'messages/s', 'of the bare broker', 'p50 ms', 'p99 ms'],
    rows: [
      ['bare broker, acknowledged', Math.round(bare), '100 %', '', ''],
      [
        'fleetgraph, acknowledged (durable on the bus)',
        Math.round(ingest.acknowledgedPerSecond),
        ratio(ingest.acknowledgedPerSecond, bare),
        '',
        '',
      ],
      [
        'fleetgraph, queryable',
        Math.round(ingest.queryablePerSecond),
        ratio(ingest.queryablePerSecond, bare),
        round(quantile(latency, 0.5)),
        round(quantile(latency, 0.99)),
      ],
    ],
    notes: `${wins}\n\n${profile}`,
  };
}

async function bareBroker(): Promise<number> {
  await using broker = await startProgram(new URL('./peers/bare-broker.ts', import.meta.url).pathname);
  const clients = await Promise.all(
    Array.from({ length: devices }, async (_unused, index) => ({
      topic: `fleet/bench/device-${index}/telemetry`,
      client: await connectAsync(broker.hello['mqtt'] ?? '', { clientId: `device-${index}`, protocolVersion: 4 }),
    })),
  );
  const result = await publishFlatOut({ publishers: clients, window, seconds, payload });
  await Promise.all(clients.map(({ client }) => client.endAsync(true)));
  return result.acknowledged / result.seconds;
}

async function platformFigures() {
  const platform = await startPlatformProcess({ profile: true });
  let ingest;
  let latency;
  try {
    const fleet = await connectFleet(platform, devices);
    // Compiled and with its partitions made: the first second of a process is not its throughput.
    await publishFlatOut({ publishers: fleet, window, seconds: 3, payload });
    await countReadings(platform, (count, before) => count === before);
    const before = await countReadings(platform, () => true);
    const startedAt = performance.now();
    const flatOut = await publishFlatOut({ publishers: fleet, window, seconds, payload });
    await countReadings(platform, (count) => count >= before + 2 * flatOut.acknowledged);
    const queryableSeconds = (performance.now() - startedAt) / 1_000;
    ingest = {
      acknowledgedPerSecond: flatOut.acknowledged / flatOut.seconds,
      queryablePerSecond: flatOut.acknowledged / queryableSeconds,
    };
    latency = await latencyAt(platform, fleet, ingest.queryablePerSecond / 3);
    await Promise.all(fleet.map(({ client }) => client.endAsync(true)));
  } finally {
    await platform[Symbol.asyncDispose]();
  }
  return { ingest, latency, profile: await summarizeProfile(platform.profileDirectory) };
}

/** Readings that are committed in the projection. */
export async function readingsStored(client: pg.Client): Promise<number> {
  const result = await client.query<{ count: string }>(
    'SELECT coalesce(sum(count), 0)::bigint AS count FROM projections.rollups_1h',
  );
  return Number(result.rows[0]?.count ?? 0);
}

/** Polls the number of readings until `enough`, which also gets the number of the poll before. */
async function countReadings(
  platform: RunningPlatform,
  enough: (count: number, before: number) => boolean,
): Promise<number> {
  const client = new pg.Client({ connectionString: platform.databaseUrl });
  await client.connect();
  try {
    const deadline = Date.now() + 120_000;
    for (let before = -1; ;) {
      const count = await readingsStored(client);
      if (enough(count, before)) return count;
      if (Date.now() > deadline) throw new Error(`Only ${count} readings became queryable.`);
      before = count;
      await pause(100);
    }
  } finally {
    await client.end();
  }
}

/** Publishes at a steady rate for some seconds; latency of each message from its own timestamp to its row in the change log. */
export async function latencyAt(
  platform: RunningPlatform,
  fleet: Awaited<ReturnType<typeof connectFleet>>,
  rate: number,
): Promise<readonly number[]> {
  const startedAt = Date.now();
  await publishSteadily({ publishers: fleet, rate, seconds: 8, payload });
  await pause(1_000);
  const client = new pg.Client({ connectionString: platform.databaseUrl });
  await client.connect();
  const rows = await client.query<{ latency: string }>(
    `SELECT extract(epoch FROM c.at) * 1000 - (r->>'at')::double precision AS latency
     FROM projections.changes c, json_array_elements(c.payload->'readings') r
     WHERE c.entity = 'device' AND c.at > to_timestamp($1 / 1000.0) AND r->>'metric' = 'temperature'`,
    [startedAt + 2_000],
  );
  await client.end();
  return rows.rows.map((row) => Number.parseFloat(row.latency));
}
