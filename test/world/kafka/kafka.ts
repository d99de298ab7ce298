/** Real brokers: the one of the run, shared by tests that leave it alone, and brokers of their own for tests that kill them. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { eventually, within } from '../eventually.js';
import { freePort } from '../free-port.js';
import { hasServer } from '../real-servers.js';
import { findKafkaJars } from './kafka-jars.js';
import { hasDockerEngine } from './redpanda.js';

export interface KafkaBroker extends AsyncDisposable {
  /** `host:port` */
  readonly address: string;
  readonly pid: number;
  /** Resolves when it answers. */
  ready(): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data; resolves when it answers. */
  restart(): Promise<void>;
}

export interface BrokerOptions {
  /** More lines of server.properties; a later one wins. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Arguments of StorageTool, for the users of SCRAM. */
  readonly formatArguments?: readonly string[];
}

/** Whether tests with a broker can run. */
export function hasKafka(): boolean {
  return hasServer(
    process.env['KAFKA_BROKERS'] ?? findKafkaJars() ?? (hasDockerEngine() ? 'Redpanda' : undefined),
    'Kafka',
    'set KAFKA_BROKERS, or install Java 17 and Maven and run `npm test`, which fetches it; Docker with Redpanda will do, too.',
  );
}

/** Whether tests that kill a broker can run. */
export function hasOwnKafka(): boolean {
  return hasServer(
    findKafkaJars(),
    'Apache Kafka',
    'install Java 17 and Maven and run `npm test`, which fetches it; a broker in KAFKA_BROKERS can not be killed.',
  );
}

/** Starts a broker of one node (KRaft) on 127.0.0.1, on a directory of its own. Await `ready`. */
export async function startKafka(options: BrokerOptions = {}): Promise<KafkaBroker> {
  const classpath = findKafkaJars();
  if (classpath === undefined) throw new Error('There are no jars of Kafka: ask hasKafka first.');
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-kafka-'));
  const [port, controllerPort] = [await freePort(), await freePort()];
  const address = `127.0.0.1:${port}`;
  const file = join(directory, 'server.properties');
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://${address},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://${address}`,
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': join(directory, 'data'),
    'auto.create.topics.enable': 'false',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    ...Object.fromEntries(
      Object.entries(options.properties ?? {}).map(([name, value]) => [
        name,
        value.replaceAll('{address}', address).replaceAll('{controller}', `127.0.0.1:${controllerPort}`),
      ]),
    ),
  };
  await writeFile(
    file,
    Object.entries(properties)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const java = ['-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', classpath];
  await promisify(execFile)('java', [
    ...[...java, 'kafka.tools.StorageTool', 'format', '-t', clusterId(), '-c', file],
    ...(options.formatArguments ?? []),
  ]);
  let child: ChildProcess;
  let exited: Promise<void>;
  const start = (): void => {
    child = spawn('java', [...java, 'kafka.Kafka', file], { stdio: 'ignore' });
    exited = new Promise((resolve) => child.once('exit', () => resolve()));
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await exited;
  };
  const ready = async (): Promise<void> => {
    if (options.properties?.['listeners'] === undefined) await eventually(() => answers([address]), 60_000);
  };
  start();
  return {
    address,
    get pid() {
      return child.pid ?? 0;
    },
    ready,
    kill: () => end('SIGKILL'),
    async restart() {
      start();
      await within(ready(), 60_000, 'restarting Kafka');
    },
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Rejects unless a broker answers that knows who coordinates groups. */
export async function answers(brokers: readonly string[]): Promise<void> {
  const kafka = new Kafka({
    clientId: 'test',
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    retry: { retries: 0 },
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    await admin.describeCluster();
    await admin.fetchOffsets({ groupId: `probe-${randomUUID()}` });
  } finally {
    await admin.disconnect();
  }
}

/** One that is no option of the command line: in base64url it may begin with a hyphen. */
function clusterId(): string {
  const id = randomBytes(16).toString('base64url');
  return id.startsWith('-') ? clusterId() : id;
}
