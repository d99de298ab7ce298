/**
 * How a record becomes bytes (record format v2, https://kafka.apache.org/documentation/#record), in place of the encoder of
 * kafkajs. That one makes a zeroed buffer of 512 bytes for the record and one for each of its headers, and an array for each
 * number: with the ten headers of a CloudEvent this took more of the bridge's time than all that it does itself. The bytes are
 * the same ones (a test compares them).
 */
import { createRequire } from 'node:module';

/** A record as kafkajs hands it to its encoder. */
export interface EncodableRecord {
  readonly offsetDelta?: number;
  /** Milliseconds since the first record of the batch. */
  readonly timestampDelta?: number;
  readonly key?: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>;
}

/** What kafkajs expects back: an encoder that has written everything. */
interface EncodedRecord {
  readonly buf: Buffer;
  readonly buffer: Buffer;
}

type Bytes = Buffer | string | null | undefined;

const kafkajsEncoder = 'kafkajs/src/protocol/recordBatch/record/v0/index.js';

/** Makes kafkajs encode records by `encodeRecord`: it loads its encoder when a process first produces. Idempotent. */
export function installRecordEncoder(): void {
  const require = createRequire(import.meta.url);
  require(kafkajsEncoder);
  const module = require.cache[require.resolve(kafkajsEncoder)];
  if (module) module.exports = encodeRecord;
}

export function encodeRecord({
  offsetDelta = 0,
  timestampDelta = 0,
  key,
  value,
  headers = {},
}: EncodableRecord): EncodedRecord {
  const pairs = pairsOf(headers);
  let size = 1 + sizeOfVarInt(timestampDelta) + sizeOfVarInt(offsetDelta) + sizeOfVarInt(pairs.length / 2);
  size += sizeOfBytes(key) + sizeOfBytes(value);
  for (const bytes of pairs) size += sizeOfBytes(bytes);

  // Nothing of what was there before is left: the size is exact.
  const buf = Buffer.allocUnsafe(sizeOfVarInt(size) + size);
  let offset = writeVarInt(buf, 0, size);
  offset = buf.writeUInt8(0, offset); // attributes: none are defined
  offset = writeVarInt(buf, offset, timestampDelta);
  offset = writeVarInt(buf, offset, offsetDelta);
  offset = writeBytes(buf, offset, key);
  offset = writeBytes(buf, offset, value);
  offset = writeVarInt(buf, offset, pairs.length / 2);
  for (const bytes of pairs) offset = writeBytes(buf, offset, bytes);
  if (offset !== buf.length) throw new Error(`A record of ${buf.length} bytes was encoded to ${offset} bytes.`);
  return { buf, buffer: buf };
}

/** Names and values in turn; a header with several values is there as often. */
function pairsOf(headers: NonNullable<EncodableRecord['headers']>): Bytes[] {
  const pairs: Bytes[] = [];
  for (const name of Object.keys(headers)) {
    const given = headers[name];
    if (Array.isArray(given)) for (const value of given) pairs.push(name, value);
    else pairs.push(name, given);
  }
  return pairs;
}

function lengthOf(bytes: Bytes): number {
  if (bytes === null || bytes === undefined) return -1;
  return typeof bytes === 'string' ? Buffer.byteLength(bytes, 'utf8') : bytes.length;
}

function sizeOfBytes(bytes: Bytes): number {
  const length = lengthOf(bytes);
  return sizeOfVarInt(length) + Math.max(length, 0);
}

function writeBytes(buf: Buffer, offset: number, bytes: Bytes): number {
  const begin = writeVarInt(buf, offset, lengthOf(bytes));
  if (bytes === null || bytes === undefined) return begin;
  return begin + (typeof bytes === 'string' ? buf.write(bytes, begin, 'utf8') : bytes.copy(buf, begin));
}

/** ZigZag, so that small negative numbers are small; without bit operations, which end at 32 bits. */
function zigZag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function sizeOfVarInt(value: number): number {
  let size = 1;
  for (let rest = zigZag(value); rest >= 128; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

function writeVarInt(buf: Buffer, offset: number, value: number): number {
  let at = offset;
  let rest = zigZag(value);
  for (; rest >= 128; rest = Math.floor(rest / 128)) {
    buf[at] = (rest % 128) | 128;
    at += 1;
  }
  buf[at] = rest;
  return at + 1;
}
