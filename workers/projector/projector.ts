/**
 * The projector: follows the backbone and writes the schema `projections`, from which the query subgraph reads.
 * Three consumers, so that a flood of readings holds up neither presence nor events: telemetry (telemetry/), signals
 * (presence/) and domain events (events/). Each batch is one transaction; after its commit the changes go on the bus.
 */
import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import { topics } from '../../backbone/bus/topics.js';
import { createConsumer, type DeliveredEvent } from '../../backbone/consumer/consumer.js';
import { domainEventTypes, type DomainEventType } from '../../backbone/events/catalogue.js';
import type { Event } from '../../backbone/events/envelope.js';
import type { Config } from '../../platform/config/config.js';
import type { Role } from '../../platform/lifecycle/role.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';
import { publishChanges, type NumberedChange } from './change-log.js';
import { applyEvents } from './events/apply-events.js';
import { applyPresence, applyReset, type PresenceChanged } from './presence/apply-presence.js';
import { createProjectorMetrics } from './projector-metrics.js';
import { keepRetention } from './retention.js';
import { applyTelemetry } from './telemetry/apply-telemetry.js';
import { createReadingPartitions } from './telemetry/reading-partitions.js';

export interface ProjectorRoleOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly pool: pg.Pool;
  readonly bus: EventBus;
}

/** How often expired data is looked for. */
const retentionIntervalMs = 60_000;

/** Makes the role. Any number of projectors may run at once: the bus gives each its partitions. */
export function createProjectorRole(options: ProjectorRoleOptions): Role {
  const { config, log, pool, bus } = options;
  const metrics = createProjectorMetrics(options.metrics);
  const partitions = createReadingPartitions({ pool });
  const shared = { bus, pool, log, metrics: options.metrics };

  const publish = async (changes: readonly NumberedChange[]): Promise<void> => {
    for (const { change } of changes) metrics.changes.inc({ entity: change.entity });
    await publishChanges({ bus, log, metrics }, changes);
  };

  const timed = (consumer: string, work: (events: readonly DeliveredEvent[]) => Promise<void>) => {
    return async (events: readonly DeliveredEvent[]): Promise<void> => {
      const endTimer = metrics.batchSeconds.startTimer({ consumer });
      await work(events);
      endTimer();
    };
  };

  const telemetry = createConsumer({
    ...shared,
    name: 'projector-telemetry',
    topics: [topics.telemetry],
    types: ['io.fleetgraph.telemetry.received.v1'],
    handle: timed('telemetry', async (delivered) => {
      const events = delivered.flatMap(({ event }) =>
        event.type === 'io.fleetgraph.telemetry.received.v1' ? [event] : [],
      );
      const changes = await applyTelemetry(
        {
          pool,
          partitions,
          retentionDays: config.telemetry.retentionDays,
          maxFutureMs: config.telemetry.maxFutureMs,
          metrics,
          log,
        },
        events,
      );
      const newest = Math.max(...events.map(({ time }) => Date.parse(time)));
      if (Number.isFinite(newest)) metrics.delaySeconds.observe(Math.max(0, Date.now() - newest) / 1_000);
      await publish(changes);
    }),
  });

  const signals = createConsumer({
    ...shared,
    name: 'projector-signals',
    topics: [topics.signals],
    types: ['io.fleetgraph.presence.changed.v1', 'io.fleetgraph.presence.reset.v1'],
    handle: timed('signals', async (delivered) => {
      // A reset changes many devices: what came before it in the partition must be there when it does.
      let waiting: PresenceChanged[] = [];
      for (const { event } of delivered) {
        if (event.type === 'io.fleetgraph.presence.changed.v1') waiting.push(event);
        if (event.type !== 'io.fleetgraph.presence.reset.v1') continue;
        await publish(await applyPresence({ pool }, waiting));
        waiting = [];
        for await (const changes of applyReset({ pool }, event)) await publish(changes);
      }
      await publish(await applyPresence({ pool }, waiting));
    }),
  });

  const events = createConsumer({
    ...shared,
    name: 'projector-events',
    topics: [topics.events],
    types: domainEventTypes,
    handle: timed('events', async (delivered) => {
      const [first] = delivered;
      if (first === undefined) return;
      const domainEvents = delivered.map(({ event }) => event).filter(isDomainEvent);
      await publish(await applyEvents({ pool }, first.record.partition, domainEvents));
    }),
  });

  const consumers = [telemetry, signals, events];
  const stopping = new AbortController();
  let retention: Promise<void> | undefined;

  return {
    name: 'projector',
    async start() {
      await Promise.all(consumers.map((consumer) => consumer.start()));
      retention = keepRetention(
        {
          pool,
          log,
          telemetryRetentionDays: config.telemetry.retentionDays,
          changesRetentionMs: config.changesRetentionMs,
        },
        retentionIntervalMs,
        stopping.signal,
      );
    },
    async stop() {
      stopping.abort();
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      await retention;
    },
    async ready() {
      await Promise.all(consumers.map((consumer) => consumer.ready()));
    },
  };
}

const domainTypes: ReadonlySet<string> = new Set(domainEventTypes);

function isDomainEvent(event: Event): event is Event<DomainEventType> {
  return domainTypes.has(event.type);
}
