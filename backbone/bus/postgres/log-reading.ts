/** Reading the log: from a position on, in offset order, never more than asked for in records and bytes. */
import type { BusRecord } from '../event-bus.js';
import type { Position } from '../partition-consumer.js';
import type { Statement, Statements } from './statement.js';

export interface ReadLimits {
  /** Most records of a partition. */
  readonly records: number;
  /** Most bytes of values of a partition; one record is given in any case. */
  readonly bytes: number;
}

// octet_length does not fetch a value that is stored apart, so that a large one beyond the limit costs nothing.
const read: Statement = {
  name: 'read',
  text: `SELECT w.slot::int, r."offset", r.key, r.value, r.headers::text AS headers,
       (extract(epoch FROM r.timestamp) * 1000)::float8 AS timestamp
     FROM unnest($1::text[], $2::int[], $3::bigint[]) WITH ORDINALITY AS w(topic, partition, position, slot)
     CROSS JOIN LATERAL (
       SELECT * FROM (
         SELECT *, sum(octet_length(value)) OVER (ORDER BY "offset" ROWS UNBOUNDED PRECEDING) - octet_length(value) AS before
         FROM (
           SELECT * FROM bus.records r WHERE r.topic = w.topic AND r.partition = w.partition AND r."offset" >= w.position
           ORDER BY r."offset" LIMIT $4) limited) sized
       WHERE before < $5 ORDER BY "offset") r`,
};

interface RecordRow {
  readonly slot: number;
  readonly offset: bigint;
  readonly key: string;
  readonly value: string;
  readonly headers: string;
  readonly timestamp: number;
}

export interface Found {
  readonly records: readonly BusRecord[];
  /** A limit was reached: the log most likely has more. */
  readonly more: boolean;
}

/** Records from each position on, in the order of the positions: an empty list where there are none yet. */
export async function readRecords(
  statements: Statements,
  positions: readonly Position[],
  limits: ReadLimits,
): Promise<readonly Found[]> {
  if (positions.length === 0) return [];
  const { rows } = await statements.run<RecordRow>(read, [
    positions.map(({ topic }) => topic),
    positions.map(({ partition }) => partition),
    positions.map(({ offset }) => String(offset)),
    limits.records,
    limits.bytes,
  ]);
  const found = positions.map((): { records: BusRecord[]; bytes: number } => ({ records: [], bytes: 0 }));
  for (const { slot, offset, key, value, headers, timestamp } of rows) {
    const position = positions[slot - 1];
    const own = found[slot - 1];
    if (position === undefined || own === undefined) continue;
    own.bytes += value.length;
    own.records.push({
      topic: position.topic,
      partition: position.partition,
      offset,
      key,
      value,
      headers: JSON.parse(headers) as Record<string, string>,
      timestampMs: Math.floor(timestamp),
    });
  }
  return found.map(({ records, bytes }) => ({
    records,
    more: records.length === limits.records || bytes >= limits.bytes / 2,
  }));
}
