/**
 * (b) Telemetry through a broker of its own and Kafka to the projection, beside the same broker with subscribers that drop
 * everything, and beside the least that brings messages from MQTT to Kafka. All take the same messages in the same way.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { connectAsync } from 'mqtt';
import pg from 'pg';
import { topics } from '../backbone/bus/topics.js';
import { startEmbeddedPostgres } from '../platform/embedded/postgres.js';
import { pause } from '../platform/lifecycle/wait.js';
import { startKafka } from '../test/world/kafka/kafka.js';
import { startMosquitto } from '../test/world/mosquitto/mosquitto.js';
import { connectFleet, publishSteadily } from './fleet.js';
import { startPlatformProcess, startProgram, type RunningProcess } from './process.js';
import { quantile, ratio, round, type Section } from './section.js';
import { latencyAt, readingsStored } from './telemetry.js';

const devices = 50;
const window = 20;
const messages = 60_000;
const connections = 4;
const partitions = 4;
/** Messages a second while latency is measured: what every one of them bears. */
const steadyRate = 2_000;
let published = 0;
/** No two alike in time: two readings of one device, metric and moment would be one. */
const payload = () => {
  published += 1;
  return JSON.stringify({ ts: Date.now() + (published % 1_000) / 1_000, values: { temperature: 21.5, pressure: 1.5 } });
};

type Publishers = readonly { readonly client: Awaited<ReturnType<typeof connectAsync>>; readonly topic: string }[];

export async function measureKafka(): Promise<Section> {
  await using broker = await startMosquitto({ open: true });
  await using kafka = await startKafka();
  await kafka.ready();
  const dropped = await droppingSubscriber(broker.url);
  const forwarded = await forwarder(broker.url, kafka.address);
  const ours = await fleetgraph(broker.url, kafka.address);
  const cost = (ourRate: number) => `${Math.round((1 - ourRate / forwarded.rate) * 100)} %`;
  return {
    title: 'Telemetry through Mosquitto and Kafka to queryable projection',
    method: `${devices} devices publish ${messages.toLocaleString('en-US')} QoS 1 messages (two metrics each) as fast as the broker takes them; the rate is until the last one has arrived. "Durable" is on Kafka with acks=-1; "queryable" is committed in the projection. Latency is at ${steadyRate.toLocaleString('en-US')} messages/s for all, from the publish to the subscriber, to a consumer of the topic, or to the change's row. All share ${connections} connections in a shared subscription. fleetgraph's bridge is one process, its projector another (started when the rate until durable has been measured: the forwarder has no consumer either), the other roles a third. All share two cores with Mosquitto, Kafka (one node), PostgreSQL and the load.`,
    columns: ['', 'messages/s', 'of the bare broker', 'of the forwarder', 'p50 ms', 'p99 ms'],
    rows: [
      [
        'Mosquitto with subscribers that drop everything',
        ...[Math.round(dropped.rate), '100 %', '', dropped.latency.p50, dropped.latency.p99],
      ],
      [
        'least mqtt → kafkajs forwarder, no guarantees',
        ...[Math.round(forwarded.rate), ratio(forwarded.rate, dropped.rate), '100 %'],
        ...[forwarded.latency.p50, forwarded.latency.p99],
      ],
      [
        'fleetgraph, durable on Kafka',
        ...[Math.round(ours.durable), ratio(ours.durable, dropped.rate), ratio(ours.durable, forwarded.rate)],
        ...[ours.durableLatency.p50, ours.durableLatency.p99],
      ],
      [
        'fleetgraph, queryable',
        ...[Math.round(ours.queryable), ratio(ours.queryable, dropped.rate), ratio(ours.queryable, forwarded.rate)],
        ...[round(quantile(ours.latencies, 0.5)), round(quantile(ours.latencies, 0.99))],
      ],
    ],
    notes: `What the guarantees cost beside the forwarder: ${cost(ours.durable)} of the rate until durable. They are: the device is known and in service, the payload is decoded and each reading checked, the record is an event that says what it is and whose, it is on all in-sync replicas before the broker may forget the message, in the order of its device, and nothing is lost when any part is killed.`,
  };
}

async function connectPublishers(url: string): Promise<Publishers> {
  return Promise.all(
    Array.from({ length: devices }, async (_unused, index) => ({
      topic: `fleet/bench/device-${index}/telemetry`,
      client: await connectAsync(url, { clientId: `device-${index}`, protocolVersion: 4 }),
    })),
  );
}

/** Publishes `messages`, each publisher with `window` in flight. */
async function publishAll(publishers: Publishers): Promise<void> {
  let left = messages;
  const publisher = async ({ client, topic }: Publishers[number]): Promise<void> => {
    for (; left > 0;) {
      left -= 1;
      await client.publishAsync(topic, payload(), { qos: 1 });
    }
  };
  await Promise.all(publishers.flatMap((target) => Array.from({ length: window }, () => publisher(target))));
}

/** Messages a second until `count` says that all have arrived. */
async function rateUntil(publishers: Publishers, count: () => Promise<number>): Promise<number> {
  const before = await count();
  const startedAt = performance.now();
  const publishing = publishAll(publishers);
  const deadline = Date.now() + 180_000;
  while ((await count()) < before + messages) {
    if (Date.now() > deadline) throw new Error(`Only ${(await count()) - before} of ${messages} messages arrived.`);
    await pause(50);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  await publishing;
  return messages / seconds;
}

interface Figures {
  /** Messages a second. */
  readonly rate: number;
  readonly latency: Latency;
}

/** Milliseconds. */
interface Latency {
  readonly p50: number;
  readonly p99: number;
}

/** Latency of a steady load, as `observer` sees its messages arrive. */
async function steadyLatency(publishers: Publishers, observer: RunningProcess): Promise<Latency> {
  await publishSteadily({ publishers, rate: steadyRate, seconds: 2, payload });
  await observer.ask('forget');
  await publishSteadily({ publishers, rate: steadyRate, seconds: 8, payload });
  await pause(1_000);
  const { p50, p99 } = await observer.ask('latency');
  return { p50: Number(p50), p99: Number(p99) };
}

const arrivalsOn = (brokers: string, topic: string) =>
  startProgram(new URL('./peers/kafka-arrivals.ts', import.meta.url).pathname, { args: [brokers, topic] });

async function droppingSubscriber(url: string): Promise<Figures> {
  await using program = await startProgram(new URL('./peers/dropping-subscriber.ts', import.meta.url).pathname, {
    args: [url, String(connections)],
  });
  const publishers = await connectPublishers(url);
  const rate = await rateUntil(publishers, async () => Number((await program.ask('count'))['received']));
  const latency = await steadyLatency(publishers, program);
  await Promise.all(publishers.map(({ client }) => client.endAsync(true)));
  return { rate, latency };
}

async function forwarder(url: string, brokers: string): Promise<Figures> {
  await using kafka = await kafkaCounter(brokers);
  await kafka.makeTopic('forwarded');
  await using _program = await startProgram(new URL('./peers/mqtt-to-kafka.ts', import.meta.url).pathname, {
    args: [url, brokers, 'forwarded', String(connections)],
  });
  const publishers = await connectPublishers(url);
  const rate = await rateUntil(publishers, () => kafka.records('forwarded'));
  await using arrivals = await arrivalsOn(brokers, 'forwarded');
  const latency = await steadyLatency(publishers, arrivals);
  await Promise.all(publishers.map(({ client }) => client.endAsync(true)));
  return { rate, latency };
}

/** The bridge and the projector as processes of their own, beside one with the other roles. */
async function fleetgraph(url: string, brokers: string) {
  await using postgres = await startDatabase();
  const env = {
    DATABASE_URL: postgres.url,
    MQTT_URL: url,
    KAFKA_BROKERS: brokers,
    MQTT_CONNECTIONS: String(connections),
    BUS_PARTITIONS: String(partitions),
  };
  await using platform = await startPlatformProcess({ roles: ['device', 'actions', 'query', 'gateway', 'relay'], env });
  await using _bridge = await startPlatformProcess({ roles: ['bridge'], env });
  await using kafka = await kafkaCounter(brokers);
  const fleet = await connectFleet({ ...platform, mqtt: url }, devices);
  const database = new pg.Client({ connectionString: postgres.url });
  await database.connect();
  const durableRate = () => rateUntil(fleet, () => kafka.records(topics.telemetry));
  // Compiled, joined and with its partitions made: the first seconds of a process are not its throughput.
  await durableRate();
  const durable = await durableRate();
  const durableLatency = await latencyOfDurable(fleet, brokers);
  await using _projector = await startPlatformProcess({ roles: ['projector'], env });
  const settled = await untilStill(async () => readingsStored(database));
  const queryable = await rateUntil(fleet, async () => settled / 2 + ((await readingsStored(database)) - settled) / 2);
  const latencies = await latencyAt(platform, fleet, steadyRate);
  await database.end();
  await Promise.all(fleet.map(({ client }) => client.endAsync(true)));
  return { durable, durableLatency, queryable, latencies };
}

async function latencyOfDurable(fleet: Publishers, brokers: string): Promise<Latency> {
  await using arrivals = await arrivalsOn(brokers, topics.telemetry);
  return await steadyLatency(fleet, arrivals);
}

/** PostgreSQL on a directory of its own. */
async function startDatabase() {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-bench-'));
  const postgres = await startEmbeddedPostgres({ directory });
  return {
    url: postgres.url,
    async [Symbol.asyncDispose]() {
      await postgres.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The value when it is more than nothing and has not changed for half a second. */
async function untilStill(read: () => Promise<number>): Promise<number> {
  for (let before = await read(); ;) {
    await pause(500);
    const now = await read();
    if (now === before && now > 0) return now;
    before = now;
  }
}

async function kafkaCounter(brokers: string) {
  const admin = new Kafka({ clientId: 'bench', brokers: [brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  return {
    async makeTopic(topic: string): Promise<void> {
      await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: partitions }] });
    },
    /** Records that are on Kafka, over all partitions. */
    records: async (topic: string): Promise<number> =>
      (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0),
    [Symbol.asyncDispose]: () => admin.disconnect(),
  };
}
