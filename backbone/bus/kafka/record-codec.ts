/**
 * Between records of the bus and messages of Kafka. The envelope is in the headers (CloudEvents Kafka protocol binding,
 * binary mode), so that any consumer of Kafka can read it.
 */
import type { IHeaders, KafkaMessage, Message } from 'kafkajs';
import { FleetgraphError } from '../../../platform/errors.js';
import type { BusRecord } from '../event-bus.js';
import type { AssignedRecord } from '../partitioner.js';

/**
 * @throws FleetgraphError BAD_USER_INPUT when a text has half of a surrogate pair: UTF-8 can't say it, and Node.js would
 * replace it silently.
 */
export function toMessage({ topic, partition, key, value, headers }: AssignedRecord): Message {
  if (!key.isWellFormed() || !value.isWellFormed() || !areWellFormed(headers))
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `A record for ${topic} has half of a surrogate pair, which UTF-8 can't hold.`,
    );
  return { key, value, partition, headers };
}

export function toRecord(topic: string, partition: number, message: KafkaMessage): BusRecord {
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    key: message.key?.toString('utf8') ?? '',
    value: message.value?.toString('utf8') ?? '',
    headers: textHeaders(message.headers),
    timestampMs: Number(message.timestamp),
  };
}

/** Rough size in memory, bytes. */
export function sizeOfRecord({ key, value, headers }: BusRecord): number {
  let size = 200 + key.length + value.length;
  for (const name in headers) size += name.length + (headers[name]?.length ?? 0) + 40;
  return size;
}

function textHeaders(headers: IHeaders | undefined): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const name in headers) {
    // Kafka allows a header several times; the last one counts, as in its own clients' lastHeader().
    const given = headers[name];
    const last = Array.isArray(given) ? given.at(-1) : given;
    if (last !== undefined) texts[name] = last.toString();
  }
  return texts;
}

function areWellFormed(headers: Readonly<Record<string, string>>): boolean {
  for (const name in headers) if (!name.isWellFormed() || headers[name]?.isWellFormed() === false) return false;
  return true;
}
