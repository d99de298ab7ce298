import { FleetgraphError } from '../../platform/errors.js';
import type { OutgoingRecord, TopicPartition } from './event-bus.js';

/** A record that knows its partition. */
export interface AssignedRecord extends TopicPartition {
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Gives a record the partition that it names, or that its key chooses.
 * @throws FleetgraphError BAD_USER_INPUT when it names one that isn't there.
 */
export function assignPartition(topic: string, record: OutgoingRecord, partitions: number): AssignedRecord {
  const { key, value, headers, partition = partitionOf(key, partitions) } = record;
  if (!Number.isInteger(partition) || partition < 0 || partition >= partitions)
    throw new FleetgraphError(
      'BAD_USER_INPUT',
      `The topic ${topic} has ${partitions} partitions, counted from 0; there is no partition ${partition}.`,
    );
  return { topic, partition, key, value, headers };
}

/**
 * Which partition a key belongs to: positive murmur2 of its UTF-8 bytes modulo the partitions, as in Kafka's default
 * partitioner, so that a record lands in the same partition whichever bus carries it.
 * Source: org.apache.kafka.common.utils.Utils#murmur2 (32 bit, seed 0x9747b28c).
 */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key, 'utf8')) & 0x7fffffff) % partitions;
}

/** Murmur2 as Kafka computes it: a signed 32-bit integer. */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995;
  const { length } = data;
  const byte = (index: number) => data[index] ?? 0;
  let hash = 0x9747b28c ^ length;
  const words = length >> 2;
  for (let word = 0; word < words; word += 1) {
    const at = word * 4;
    let k = byte(at) | (byte(at + 1) << 8) | (byte(at + 2) << 16) | (byte(at + 3) << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    k = Math.imul(k, m);
    hash = Math.imul(hash, m) ^ k;
  }
  const tail = words * 4;
  const rest = length - tail;
  if (rest === 3) hash ^= byte(tail + 2) << 16;
  if (rest >= 2) hash ^= byte(tail + 1) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ byte(tail), m);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, m);
  return hash ^ (hash >>> 15);
}
