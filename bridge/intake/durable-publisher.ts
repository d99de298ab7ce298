/**
 * Makes records durable in the order in which they came, whatever happens to the bus in between: when a publish fails it is
 * repeated, with everything behind it waiting, until the bus has it. What a promise of `publish` resolves for is on the
 * bus; what is given up at a stop was never acknowledged, and the device sends it again.
 */
import { FleetgraphError, messageOf } from '../../platform/errors.js';
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import { createOutageLog } from '../../platform/observability/outage-log.js';
import type { EventBus, OutgoingRecord } from '../../backbone/bus/event-bus.js';

export interface DurablePublisher {
  /** Resolves when the records are durable. @throws FleetgraphError UNAVAILABLE when too many wait, or at a stop. */
  publish(topic: string, records: readonly OutgoingRecord[]): Promise<void>;
  /** Resolves when a message more would be taken: for carriers that can wait. */
  room(): Promise<void>;
  /** Rejects while the bus takes nothing. */
  ready(): void;
  /** Waits until everything is durable, at most `graceMs`; gives up the rest. */
  stop(graceMs: number): Promise<void>;
}

interface Waiting {
  readonly topic: string;
  readonly records: readonly OutgoingRecord[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Rough bytes of a record beside its value: its headers, and what keeps them. */
const recordOverhead = 512;

export function createDurablePublisher(options: {
  bus: Pick<EventBus, 'publish'>;
  log: Logger;
  maxWaiting?: number;
  /** Of what waits and what is on its way to the bus. */
  maxWaitingBytes?: number;
  maxBatch?: number;
}): DurablePublisher {
  const { bus, log, maxWaiting = 20_000, maxWaitingBytes = 67_108_864, maxBatch = 2_000 } = options;
  const stopped = new AbortController();
  let waiting: Waiting[] = [];
  let waitingBytes = 0;
  let running: Promise<void> | undefined;
  let failure: unknown;
  const outages = createOutageLog({ log, event: 'the bus takes no records; nothing is acknowledged until it does' });

  /** Tries once; takes out of `entries` what has become durable or never can. */
  const tryOnce = async (topic: string, entries: Waiting[]): Promise<void> => {
    try {
      await bus.publish(
        topic,
        entries.flatMap(({ records }) => records),
      );
      for (const { resolve } of entries.splice(0)) resolve();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (entries.length === 1) entries.pop()?.reject(error);
      // One at a time, so that the one at fault is refused alone.
      for (let first = entries[0]; first !== undefined; first = entries[0]) {
        await tryOnce(topic, [first]);
        entries.shift();
      }
    }
  };

  /** Publishes a batch, again and again until it is durable. The order within each topic is kept. */
  const untilDurable = async (batch: readonly Waiting[]): Promise<void> => {
    const byTopic = new Map<string, Waiting[]>();
    for (const entry of batch) {
      const entries = byTopic.get(entry.topic);
      if (entries) entries.push(entry);
      else byTopic.set(entry.topic, [entry]);
    }
    for (let attempt = 0; ; attempt += 1) {
      const outcomes = await unlessStopped(
        // Every topic to its end: what is still on its way when another one fails must not be published a second time.
        Promise.allSettled(
          [...byTopic].map(async ([topic, entries]) => {
            await tryOnce(topic, entries);
            byTopic.delete(topic);
          }),
        ),
        stopped.signal,
      );
      const error: unknown = outcomes?.find((outcome) => outcome.status === 'rejected')?.reason;
      if (outcomes && error === undefined) {
        failure = undefined;
        outages.succeeded('bus');
        return;
      }
      if (outcomes) {
        outages.failed('bus', error);
        failure = error;
        await pause(20 + backoffMs(attempt, 50, 1_000), stopped.signal);
      }
      if (stopped.signal.aborted) {
        for (const entries of byTopic.values()) for (const { reject } of entries) reject(givenUp(error));
        return;
      }
    }
  };

  const run = async (): Promise<void> => {
    // One turn of the event loop, so that what came in together is made durable together.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      const batch = waiting.slice(0, maxBatch);
      waiting = waiting.slice(maxBatch);
      if (stopped.signal.aborted) for (const { reject } of batch) reject(givenUp(failure));
      else await untilDurable(batch);
    }
    running = undefined;
  };

  return {
    async publish(topic, records) {
      if (stopped.signal.aborted) throw givenUp(undefined);
      const bytes = records.reduce((sum, { value }) => sum + value.length + recordOverhead, 0);
      if (waiting.length >= maxWaiting || (waitingBytes > 0 && waitingBytes + bytes > maxWaitingBytes))
        throw new FleetgraphError('UNAVAILABLE', 'Too many messages wait for the bus. Send it again in a moment.');
      waitingBytes += bytes;
      const durable = new Promise<void>((resolve, reject) => waiting.push({ topic, records, resolve, reject }));
      running ??= run();
      try {
        await durable;
      } finally {
        waitingBytes -= bytes;
      }
    },
    async room() {
      // Well before it is full: several may be told at once.
      const isFull = (): boolean => waiting.length >= maxWaiting / 2 || waitingBytes >= maxWaitingBytes / 2;
      while (isFull() && !stopped.signal.aborted) await pause(5, stopped.signal);
    },
    ready() {
      if (failure !== undefined) throw new Error(`the bus takes no records: ${messageOf(failure)}`, { cause: failure });
    },
    async stop(graceMs) {
      if (running) await Promise.race([running, pause(graceMs, stopped.signal)]);
      stopped.abort();
      await running;
    },
  };
}

/** What `work` gives, or undefined when the signal is aborted first: the work may never end. */
function unlessStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = () => resolve(undefined);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/** Whether the bus will never take the record. */
function isRefusal(error: unknown): boolean {
  return error instanceof FleetgraphError && error.code === 'BAD_USER_INPUT';
}

function givenUp(cause: unknown): FleetgraphError {
  return new FleetgraphError('UNAVAILABLE', 'The bridge is stopping and did not store this. Send it again.', { cause });
}
