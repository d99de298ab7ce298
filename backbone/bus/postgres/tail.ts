/**
 * The live end of topics, for one caller: every record that is appended after the call, in order for each partition.
 * The handler is awaited before more is read: one that is slow delays only itself, and holds at most one read in memory.
 */
import { messageOf } from '../../../platform/errors.js';
import { backoffMs, pause } from '../../../platform/lifecycle/wait.js';
import type { Logger } from '../../../platform/observability/logger.js';
import { createOutageLog } from '../../../platform/observability/outage-log.js';
import type { BusRecord, Subscription } from '../event-bus.js';
import { readRecords, type ReadLimits } from './log-reading.js';
import { endPositions } from './log-topics.js';
import type { Statements } from './statement.js';
import type { WakeUp } from './wake-up.js';

export interface TailOptions {
  readonly statements: Statements;
  readonly wakeUp: WakeUp;
  readonly log: Logger;
  readonly topics: readonly string[];
  /** Until a look at a topic that nothing announced, milliseconds. */
  readonly pollMs: () => number;
  /** How long a stop waits for a running handler, milliseconds. */
  readonly stopGraceMs: number;
  /** For each partition. */
  readonly limits: ReadLimits;
}

/** Fixes the ends, then resolves. A handler that rejects is given the same records again, after a backoff. */
export async function startTail(
  options: TailOptions,
  handler: (records: readonly BusRecord[]) => void | Promise<void>,
): Promise<Subscription> {
  const { statements, wakeUp, log, topics } = options;
  const positions = [...(await endPositions(statements, topics))];
  const stopped = new AbortController();
  const bell = wakeUp.bell(topics.map((topic) => `topic ${topic}` as const));
  let failure: unknown;
  const outages = createOutageLog({ log, event: 'a tail of the bus is interrupted and goes on where it was' });

  /** @returns whether there was something to give. */
  const giveNext = async (): Promise<boolean> => {
    const found = await readRecords(statements, positions, options.limits);
    const records = found.flatMap((partition) => partition.records);
    if (records.length === 0 || stopped.signal.aborted) return false;
    await handler(records);
    for (const [index, { records: own }] of found.entries()) {
      const [first, last, position] = [own[0], own.at(-1), positions[index]];
      if (first === undefined || last === undefined || position === undefined) continue;
      if (first.offset > position.offset)
        log.warn(
          { topic: last.topic, partition: last.partition, records: Number(first.offset - position.offset) },
          'a tail is so far behind that records were past their retention',
        );
      positions[index] = { ...position, offset: last.offset + 1n };
    }
    return true;
  };

  const running = (async () => {
    for (let attempt = 0; !stopped.signal.aborted;) {
      try {
        const given = await giveNext();
        failure = undefined;
        outages.succeeded('tail');
        attempt = 0;
        if (!given) await bell.wait(options.pollMs(), stopped.signal);
      } catch (error) {
        outages.failed('tail', error, { topics });
        failure = error;
        await pause(50 + backoffMs(attempt, 100, 2_000), stopped.signal);
        attempt += 1;
      }
    }
  })();

  return {
    async stop() {
      stopped.abort();
      bell.close();
      const over = new AbortController();
      await Promise.race([running, pause(options.stopGraceMs, over.signal)]);
      over.abort();
    },
    async ready() {
      if (failure !== undefined)
        throw new Error(`The tail of ${topics.join(', ')} is interrupted: ${messageOf(failure)}`, { cause: failure });
    },
  };
}
