/**
 * The live end of some topics, for one caller: a consumer group of its own, with one member, that commits nothing.
 * Where it begins is fixed before `startTail` resolves, and where it goes on after a rebalance is known here, not in Kafka.
 */
import { randomUUID } from 'node:crypto';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import type { BusRecord, Subscription, TopicPartition } from '../event-bus.js';
import type { Position } from '../partition-consumer.js';
import { openGroupSession } from './group-session.js';
import type { CreateKafka } from './kafka-client.js';
import { sizeOfRecord } from './record-codec.js';

export interface TailOptions {
  readonly createKafka: CreateKafka;
  readonly prefix: string;
  readonly log: Logger;
  readonly topics: readonly string[];
  /** Ends of the partitions of the topics, by which "from now on" is meant. */
  readonly ends: readonly Position[];
  /** Of the group, so that operators see whose it is. */
  readonly name: string;
  readonly sessionTimeoutMs: number;
  readonly metadataMaxAgeMs: number;
  readonly stopGraceMs: number;
  /** Most records that a handler is given at once. */
  readonly maxRecords: number;
}

/** Bytes that may wait for a slow handler before fetching pauses. */
const highBytes = 8 * 2 ** 20;

export async function startTail(
  options: TailOptions,
  handler: (records: readonly BusRecord[]) => void | Promise<void>,
): Promise<Subscription> {
  const { log, topics } = options;
  const next = new Map(options.ends.map((position) => [nameOf(position), position.offset]));
  const stopped = new AbortController();
  let assigned: readonly TopicPartition[] = [];
  let waiting: BusRecord[] = [];
  let waitingBytes = 0;
  let paused = false;
  let giving: Promise<void> | undefined;
  const outages = createOutageLog({ log, event: 'a tail of the bus is interrupted and goes on where it was' });

  const session = openGroupSession({
    createKafka: options.createKafka,
    prefix: options.prefix,
    topics,
    log,
    sessionTimeoutMs: options.sessionTimeoutMs,
    metadataMaxAgeMs: options.metadataMaxAgeMs,
    group: `${options.name}-${randomUUID()}`,
    onAssigned(partitions) {
      assigned = partitions;
      for (const partition of partitions) {
        // A partition that was added later is read from its first record.
        const offset = next.get(nameOf(partition)) ?? 0n;
        session.seek({ ...partition, offset });
        if (paused) session.pause(partition);
        else session.resume(partition);
      }
    },
    onLost: () => undefined,
    onRecords(partition, records) {
      const name = nameOf(partition);
      for (const record of records) {
        const expected = next.get(name) ?? 0n;
        if (record.offset < expected) continue;
        if (record.offset > expected)
          log.warn(
            { ...partition, records: Number(record.offset - expected) },
            'a tail is so far behind that records were past their retention',
          );
        next.set(name, record.offset + 1n);
        waiting.push(record);
        waitingBytes += sizeOfRecord(record);
      }
      if (!paused && waitingBytes > highBytes) {
        paused = true;
        for (const each of assigned) session.pause(each);
      }
      giving ??= giveAll().finally(() => (giving = undefined));
    },
  });

  const giveAll = async (): Promise<void> => {
    for (let attempt = 0; waiting.length > 0 && !stopped.signal.aborted;) {
      const records = waiting.slice(0, options.maxRecords);
      try {
        await handler(records);
        outages.succeeded('tail');
        attempt = 0;
        waiting = waiting.slice(records.length);
        for (const record of records) waitingBytes -= sizeOfRecord(record);
        if (paused && waitingBytes < highBytes / 4) {
          paused = false;
          for (const each of assigned) session.resume(each);
        }
      } catch (error) {
        outages.failed('tail', error, { topics });
        await pause(50 + backoffMs(attempt, 100, 2_000), stopped.signal);
        attempt += 1;
      }
    }
  };
  await session.settled(10_000);

  const stop = async (): Promise<void> => {
    stopped.abort();
    const over = new AbortController();
    await Promise.race([giving, pause(options.stopGraceMs, over.signal)]);
    over.abort();
    await session.stop();
  };
  let stopping: Promise<void> | undefined;
  return { stop: () => (stopping ??= stop()), ready: () => session.ready() };
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
