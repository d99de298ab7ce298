/**
 * Makes records durable: an idempotent producer that waits for every in-sync replica (acks=-1).
 *
 * Idempotence is a sequence number for each producer id and partition. After a send that failed for good it is unknown
 * what the broker has, and kafkajs takes its sequence numbers back: another batch with the same numbers would be taken
 * for the first one and acknowledged without being stored. So a producer that has failed is never used again; the next
 * one gets an id of its own.
 */
import { CompressionTypes, Partitioners, type Producer } from 'kafkajs';
import { pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { AssignedRecord } from '../partitioner.js';
import type { CreateKafka } from './kafka-client.js';
import { toMessage } from './record-codec.js';
import { installRecordEncoder } from './record-encoder.js';

export interface RecordAppender {
  /** Resolves when all in-sync replicas have the records. One call at a time: the order of calls is the order in Kafka. */
  append(records: readonly AssignedRecord[]): Promise<void>;
  close(): Promise<void>;
}

export interface RecordAppenderOptions {
  readonly createKafka: CreateKafka;
  /** In front of the names of topics. */
  readonly prefix: string;
  readonly log: Logger;
  readonly compression: 'none' | 'gzip';
  /** An append that is not durable after this long is given up, milliseconds. */
  readonly deadlineMs: number;
}

export function createRecordAppender(options: RecordAppenderOptions): RecordAppender {
  const compression = options.compression === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None;
  installRecordEncoder();
  let producer: Producer | undefined;
  let discarding: Promise<void> = Promise.resolve();

  const connect = async (): Promise<Producer> => {
    const made = options.createKafka().producer({
      idempotent: true,
      allowAutoTopicCreation: false,
      createPartitioner: Partitioners.DefaultPartitioner,
      // Within a send the same sequence numbers go out with the same records, so that it may be repeated.
      retry: { initialRetryTime: 50, maxRetryTime: 1_000, retries: 20 },
    });
    await made.connect();
    return made;
  };

  const discard = (): void => {
    const failed = producer;
    producer = undefined;
    if (failed === undefined) return;
    discarding = failed
      .disconnect()
      .catch((error: unknown) => options.log.debug({ err: error }, 'a failed producer could not disconnect'));
  };

  return {
    async append(records) {
      const topicMessages = messagesByTopic(records, options.prefix);
      const over = new AbortController();
      const deadline = pause(options.deadlineMs, over.signal).then(() => {
        if (!over.signal.aborted) throw new Error(`timeout: not durable within ${options.deadlineMs} ms`);
      });
      const send = async (): Promise<void> => {
        producer ??= await connect();
        await producer.sendBatch({ acks: -1, timeout: 10_000, compression, topicMessages });
      };
      try {
        await Promise.race([send(), deadline]);
      } catch (error) {
        discard();
        throw error;
      } finally {
        over.abort();
      }
    },
    async close() {
      discard();
      await discarding;
    },
  };
}

function messagesByTopic(records: readonly AssignedRecord[], prefix: string) {
  const byTopic = new Map<string, ReturnType<typeof toMessage>[]>();
  for (const record of records) {
    const messages = byTopic.get(record.topic);
    if (messages) messages.push(toMessage(record));
    else byTopic.set(record.topic, [toMessage(record)]);
  }
  return [...byTopic].map(([topic, messages]) => ({ topic: prefix + topic, messages }));
}
