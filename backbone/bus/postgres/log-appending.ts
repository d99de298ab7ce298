/**
 * Appending to the log: any number of records of any partitions in one statement, which is one transaction.
 * Invariant: offsets of a partition have no gaps and become visible in their order, because the row of the partition is
 * locked from the moment the offsets are taken until the commit. A reader that has seen offset n has therefore seen
 * every one before it: a late commit can't be skipped. Partitions are locked in the order of (topic, partition), so that
 * two producers never wait for each other in a circle.
 * One JSON parameter, with the places in their partitions counted here, measured fastest among JSON with a window
 * function (40,000 records a second), arrays (54,000) and this (70,000, and the least work for Node.js).
 */
import { FleetgraphError } from '../../../platform/errors.js';
import type { TopicPartition } from '../event-bus.js';
import type { AssignedRecord } from '../partitioner.js';
import type { Statement, Statements } from './statement.js';

const append: Statement = {
  name: 'append',
  text: `WITH wanted AS MATERIALIZED (
       SELECT * FROM unnest($1::text[], $2::int[], $3::int[]) WITH ORDINALITY AS w(topic, partition, records, slot)),
     locked AS MATERIALIZED (
       SELECT w.slot, w.records, p.topic, p.partition, p.next_offset FROM wanted w JOIN bus.partitions p USING (topic, partition)
       ORDER BY p.topic, p.partition FOR UPDATE OF p),
     moved AS (
       UPDATE bus.partitions p SET next_offset = l.next_offset + l.records FROM locked l
       WHERE p.topic = l.topic AND p.partition = l.partition
       RETURNING l.slot, p.topic, p.partition, l.next_offset AS base)
     INSERT INTO bus.records (topic, partition, "offset", key, value, headers, timestamp)
     SELECT m.topic, m.partition, m.base + r.n, r.k, r.v, r.h, clock_timestamp()
     FROM json_to_recordset($4::json) AS r(s int, n int, k text, v text, h json) JOIN moved m ON m.slot = r.s`,
};

interface Slot extends TopicPartition {
  readonly number: number;
  records: number;
}

/**
 * Appends records, all or none of them, behind each other in the order given for each partition. Resolves after the
 * commit; when it rejects because the connection or the deadline was lost, they may be stored all the same.
 * @throws the driver's error; of SQLSTATE class 22 when a text holds what PostgreSQL can't store (U+0000).
 */
export async function appendRecords(
  statements: Statements,
  records: readonly AssignedRecord[],
  deadlineMs?: number,
): Promise<void> {
  const slots = new Map<string, Slot>();
  const rows = records.map(({ topic, partition, key, value, headers }) => {
    const name = `${topic}/${partition}`;
    let slot = slots.get(name);
    if (slot === undefined) slots.set(name, (slot = { topic, partition, number: slots.size + 1, records: 0 }));
    return { s: slot.number, n: slot.records++, k: key, v: value, h: headers };
  });
  const wanted = [...slots.values()];
  const { count } = await statements.run(
    append,
    [
      wanted.map(({ topic }) => topic),
      wanted.map(({ partition }) => partition),
      wanted.map((slot) => slot.records),
      JSON.stringify(rows),
    ],
    deadlineMs,
  );
  if (count !== records.length)
    throw new FleetgraphError(
      'INTERNAL_SERVER_ERROR',
      `Only ${count} of ${records.length} records were stored: rows of bus.partitions are missing. Make the topics again with ensureTopics.`,
    );
}
