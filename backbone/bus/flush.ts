/** What goes into one flush, decided without side effects. Sizes are rough, in bytes of what is sent. */
import type { AssignedRecord } from './partitioner.js';

/** Most that one flush holds. A single record that is larger goes in a flush of its own. */
export interface FlushLimits {
  readonly records: number;
  readonly bytes: number;
}

/** Rough size of a record: what its texts take, and something for the names in between. */
export function sizeOf({ key, value, headers }: AssignedRecord): number {
  let size = 64 + key.length + value.length;
  for (const name in headers) size += name.length + (headers[name]?.length ?? 0) + 6;
  return size;
}

/** Records that are stored together or not at all. */
export interface Part {
  readonly records: readonly AssignedRecord[];
  readonly bytes: number;
}

/** Cuts the records of one call into parts within the limits: one part, unless the call is very large. Order is kept. */
export function partsOf(records: readonly AssignedRecord[], limits: FlushLimits): readonly Part[] {
  const parts: Part[] = [];
  let from = 0;
  let bytes = 0;
  for (const [index, record] of records.entries()) {
    const size = sizeOf(record);
    if (index > from && (index - from >= limits.records || bytes + size > limits.bytes)) {
      parts.push({ records: records.slice(from, index), bytes });
      from = index;
      bytes = 0;
    }
    bytes += size;
  }
  if (from < records.length) parts.push({ records: from === 0 ? records : records.slice(from), bytes });
  return parts;
}

/** How many of the waiting parts, from the first, the next flush takes: as many as the limits allow, at least one. */
export function partsInFlush(waiting: readonly Part[], limits: FlushLimits): number {
  let records = 0;
  let bytes = 0;
  for (const [index, part] of waiting.entries()) {
    records += part.records.length;
    bytes += part.bytes;
    if (index > 0 && (records > limits.records || bytes > limits.bytes)) return index;
  }
  return waiting.length;
}
