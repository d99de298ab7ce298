import type { Sql } from '../../../platform/database/sql.js';
import { messageOf } from '../../../platform/errors.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { BusRecord, Subscription } from '../event-bus.js';
import { endPositions, readRecords } from './records.js';
import type { WakeUp } from './wake-up.js';

/**
 * Gives every record from now on to the handler, in order for each partition. The handler is awaited before more is
 * read: one that is slow delays only itself, and holds at most one read in memory.
 */
export async function startTail(
  options: {
    sql: Sql;
    wakeUp: WakeUp;
    log: Logger;
    topics: readonly string[];
    pollIntervalMs: number;
    maxBatchSize?: number;
  },
  handler: (records: readonly BusRecord[]) => void | Promise<void>,
): Promise<Subscription> {
  const { sql, wakeUp, log, topics, maxBatchSize = 1_000 } = options;
  const stopped = new AbortController();
  const positions = new Map(
    (await endPositions(sql, topics)).map((position) => [`${position.topic}/${position.partition}`, position]),
  );
  const bell = wakeUp.bell(topics);
  let failure: unknown;

  const loop = async (): Promise<void> => {
    for (let attempt = 0; !stopped.signal.aborted;) {
      let found = 0;
      try {
        const records = await readRecords(sql, [...positions.values()], maxBatchSize);
        found = records.length;
        if (found > 0) await handler(records);
        for (const { topic, partition, offset } of records)
          positions.set(`${topic}/${partition}`, { topic, partition, offset: offset + 1n });
        failure = undefined;
        attempt = 0;
      } catch (error) {
        failure = error;
        attempt += 1;
        log.warn({ topics, err: error }, 'a tail of the bus is interrupted and goes on where it was');
        await pause(backoffMs(attempt, 100, 2_000), stopped.signal);
      }
      if (found === 0) await bell.wait(options.pollIntervalMs, stopped.signal);
    }
  };
  const running = loop();
  return {
    async stop() {
      stopped.abort();
      await running;
      bell.close();
    },
    async ready() {
      if (failure !== undefined)
        throw new Error(`The tail of ${topics.join(', ')} is interrupted: ${messageOf(failure)}`, { cause: failure });
    },
  };
}
