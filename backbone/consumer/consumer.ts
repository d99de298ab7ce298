/**
 * The consumer runtime: every consumer of the bus runs in it, so that failure is handled one way.
 *
 * - An infrastructure failure (database away, bus away) blocks: the batch is tried again until it works, nothing is
 *   committed, nothing behind it in the partition is handled.
 * - Any other failure is isolated to its event, tried again at once, after 1 s and after 2 s, and then the record is
 *   poison: it goes to the dead letters with its cause, and the partition goes on. When somebody asks for it, it is
 *   handled once more (`replay.ts`).
 * - A failure that is the event's own (`permanent-failure.ts`) is not tried again: the later records of the
 *   partition, of all tenants, would wait for nothing.
 * - The offset is committed only after the effect. Delivery is at-least-once, so effects must be idempotent.
 */
import type { Registry } from 'prom-client';
import type pg from 'pg';
import { isTransientDatabaseError } from '../../platform/database/transient.js';
import { FleetgraphError, messageOf } from '../../platform/errors.js';
import type { Role } from '../../platform/lifecycle/role.js';
import { backoffMs, pause } from '../../platform/lifecycle/wait.js';
import type { Logger } from '../../platform/observability/logger.js';
import { createOutageLog } from '../../platform/observability/outage-log.js';
import { inSpan } from '../../platform/observability/trace-context.js';
import type { BusRecord, EventBus, RecordBatch, Subscription } from '../bus/event-bus.js';
import type { EventType } from '../events/catalogue.js';
import { decode, EventDecodingError, typeOf, type Event } from '../events/envelope.js';
import { createConsumerMetrics } from './consumer-metrics.js';
import { storeDeadLetter } from './dead-letters.js';
import { isPermanentFailure } from './permanent-failure.js';
import { startReplays } from './replay.js';

export interface DeliveredEvent {
  readonly event: Event;
  readonly record: BusRecord;
}

export interface ConsumerOptions {
  /** Name of the consumer, and of its group on the bus. */
  readonly name: string;
  readonly topics: readonly string[];
  readonly bus: EventBus;
  /** Where the dead letters go. */
  readonly pool: pg.Pool;
  readonly log: Logger;
  readonly metrics: Registry;
  /** Types to handle; records of others are skipped without decoding. Default: all. */
  readonly types?: readonly EventType[];
  readonly maxBatchSize?: number;
  /** Where a new group begins. Default `earliest`. */
  readonly from?: 'earliest' | 'latest';
  /** Handles events of one partition, in order. Must be idempotent; all or nothing is best. */
  handle(events: readonly DeliveredEvent[], signal: AbortSignal): Promise<void>;
  /** Whether a failure is the infrastructure's, not the event's. Default: the database or a dependency is away. */
  readonly isTransient?: (error: unknown) => boolean;
  /** Pauses before each try of an event that fails, in milliseconds. Default 0, 1,000, 2,000. */
  readonly retryDelaysMs?: readonly number[];
}

/** Makes a consumer; it consumes from `start` to `stop`. */
export function createConsumer(options: ConsumerOptions): Role {
  const { name, bus, log, pool } = options;
  const isTransient = options.isTransient ?? isInfrastructureFailure;
  const retryDelaysMs = options.retryDelaysMs ?? [0, 1_000, 2_000];
  const types = options.types === undefined ? undefined : new Set<string>(options.types);
  const metrics = createConsumerMetrics(options.metrics, name);
  let subscription: Subscription | undefined;
  let replays: ReturnType<typeof startReplays> | undefined;
  let blockedBy: unknown;
  const outages = createOutageLog({ log, event: 'consumer is blocked by its infrastructure' });

  /** Runs `work` until it does not fail for reasons of infrastructure. Rejects with any other error, or when aborted. */
  const untilInfrastructureWorks = async (work: () => Promise<void>, signal: AbortSignal): Promise<void> => {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await work();
        blockedBy = undefined;
        outages.succeeded(name);
        metrics.blocked(false);
        return;
      } catch (error) {
        if (!isTransient(error)) throw error;
        outages.failed(name, error, { consumer: name });
        blockedBy = error;
        metrics.blocked(true);
        await pause(50 + backoffMs(attempt, 100, 5_000), signal);
        signal.throwIfAborted();
      }
    }
  };

  const bury = async (record: BusRecord, cause: unknown, attempts: number, signal: AbortSignal): Promise<void> => {
    log.error(
      { consumer: name, topic: record.topic, partition: record.partition, offset: String(record.offset), err: cause },
      'record is poison and goes to the dead letters',
    );
    await untilInfrastructureWorks(() => storeDeadLetter(pool, { consumer: name, record, cause, attempts }), signal);
    metrics.events('dead_lettered', 1);
  };

  /** Handles one event, again after each delay; then buries it. */
  const handleAlone = async (delivered: DeliveredEvent, signal: AbortSignal): Promise<void> => {
    let cause: unknown;
    let attempts = 0;
    for (const delayMs of retryDelaysMs) {
      await pause(delayMs, signal);
      signal.throwIfAborted();
      attempts += 1;
      try {
        await untilInfrastructureWorks(() => options.handle([delivered], signal), signal);
        metrics.events('handled', 1);
        return;
      } catch (error) {
        signal.throwIfAborted();
        cause = error;
        if (isPermanentFailure(error)) break;
      }
    }
    await bury(delivered.record, cause, attempts, signal);
  };

  const handleTogether = async (events: readonly DeliveredEvent[], signal: AbortSignal): Promise<void> => {
    if (events.length === 0) return;
    try {
      await untilInfrastructureWorks(() => options.handle(events, signal), signal);
      metrics.events('handled', events.length);
    } catch (error) {
      signal.throwIfAborted();
      const [first, second] = events;
      if (first && !second && isPermanentFailure(error)) {
        await bury(first.record, error, 1, signal);
        return;
      }
      log.warn(
        { consumer: name, events: events.length, reason: messageOf(error) },
        'batch failed; its events are handled one by one',
      );
      for (const delivered of events) await handleAlone(delivered, signal);
    }
  };

  const takeBatch = async ({ records, signal }: RecordBatch): Promise<void> => {
    const endTimer = metrics.startBatch();
    const events: DeliveredEvent[] = [];
    for (const record of records) {
      if (types !== undefined && !types.has(typeOf(record) ?? '')) {
        // Without a type it isn't an event at all, whoever it was meant for.
        if (typeOf(record) !== undefined) {
          metrics.events('skipped', 1);
          continue;
        }
      }
      try {
        events.push({ event: decode(record), record });
      } catch (error) {
        if (!(error instanceof EventDecodingError)) throw error;
        // What came before it in the partition is handled before it is buried.
        await handleTogether(events.splice(0), signal);
        await bury(record, error, 1, signal);
      }
    }
    const traceparent = events[0]?.event.traceparent;
    await inSpan(
      `consume ${name}`,
      { traceparent, attributes: { 'messaging.batch.message_count': events.length } },
      () => handleTogether(events, signal),
    );
    endTimer();
  };

  /** Handles a record that was put aside; rejects when it fails again. */
  const handleAgain = async (record: BusRecord, signal: AbortSignal): Promise<void> => {
    const delivered = { event: decode(record), record };
    await inSpan(`replay ${name}`, { traceparent: delivered.event.traceparent, attributes: {} }, () =>
      untilInfrastructureWorks(() => options.handle([delivered], signal), signal),
    );
    metrics.events('replayed', 1);
  };

  return {
    name,
    async start() {
      subscription = await bus.subscribe(
        {
          group: name,
          topics: options.topics,
          ...(options.maxBatchSize === undefined ? {} : { maxBatchSize: options.maxBatchSize }),
          ...(options.from === undefined ? {} : { from: options.from }),
        },
        takeBatch,
      );
      replays = startReplays({ consumer: name, pool, log, handle: handleAgain });
    },
    async stop() {
      const stopping = subscription;
      subscription = undefined;
      await replays?.stop();
      await stopping?.stop();
    },
    async ready() {
      if (blockedBy !== undefined) throw new Error(`blocked: ${messageOf(blockedBy)}`);
      await subscription?.ready();
    },
  };
}

function isInfrastructureFailure(error: unknown): boolean {
  return isTransientDatabaseError(error) || (error instanceof FleetgraphError && error.code === 'UNAVAILABLE');
}
