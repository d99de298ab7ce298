/** What Kafka has given for one partition and the handler has not been given yet: in offset order, bounded by pausing. */
import type { BusRecord } from '../event-bus.js';
import { sizeOfRecord } from './record-codec.js';

export interface WaitingRecords {
  /** Adds records behind those that were added before; what was added before already is left out. */
  add(records: readonly BusRecord[]): void;
  /** Takes records from the front, at most so many and so large together; one record at least. */
  take(maxRecords: number, maxBytes: number): readonly BusRecord[];
  first(): BusRecord | undefined;
  count(): number;
  /** Enough waits: no more should be fetched. */
  isHigh(): boolean;
  /** Little waits: more should be fetched. */
  isLow(): boolean;
}

const highBytes = 4 * 2 ** 20;
const lowBytes = 2 ** 20;

export function createWaitingRecords(): WaitingRecords {
  let records: BusRecord[] = [];
  let bytes = 0;
  let next = -1n;
  return {
    add(more) {
      for (const record of more) {
        if (record.offset < next) continue;
        next = record.offset + 1n;
        bytes += sizeOfRecord(record);
        records.push(record);
      }
    },
    take(maxRecords, maxBytes) {
      let count = 0;
      let size = 0;
      for (const record of records) {
        const withThis = size + sizeOfRecord(record);
        if (count === maxRecords || (count > 0 && withThis > maxBytes)) break;
        size = withThis;
        count += 1;
      }
      const taken = records.slice(0, count);
      records = records.slice(count);
      bytes -= size;
      return taken;
    },
    first: () => records[0],
    count: () => records.length,
    isHigh: () => bytes >= highBytes,
    isLow: () => bytes <= lowBytes,
  };
}
