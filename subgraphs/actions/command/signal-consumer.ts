/** Moves commands by what devices say: a consumer of `fleetgraph.signals`, a batch a transaction. */
import type pg from 'pg';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { topics } from '../../../backbone/bus/topics.js';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import type { Event } from '../../../backbone/events/envelope.js';
import { inTransaction } from '../../../platform/database/sql.js';
import type { Role } from '../../../platform/lifecycle/role.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { Registry } from '../../../platform/observability/metrics.js';
import { applySignals, signalTypes, type CommandSignal } from './apply-signals.js';
import type { CommandMetrics } from './command-metrics.js';

export function createSignalConsumer(options: {
  bus: EventBus;
  pool: pg.Pool;
  log: Logger;
  metrics: Registry;
  commandMetrics: CommandMetrics;
  wakeRelay: () => void;
}): Role {
  const { bus, pool, log, metrics, commandMetrics } = options;
  return createConsumer({
    name: 'actions-commands',
    topics: [topics.signals],
    bus,
    pool,
    log,
    metrics,
    types: signalTypes,
    async handle(events) {
      const signals = events.map(({ event }) => event).filter(isCommandSignal);
      const { moved, foreign } = await inTransaction(pool, (sql) => applySignals(sql, signals, Date.now()));
      for (const { command, events: facts } of moved) commandMetrics.moved(command, facts);
      const [first] = foreign;
      if (first !== undefined) {
        commandMetrics.foreignSignals(foreign.length);
        log.warn(
          { tenant: first.tenant, deviceId: first.data.deviceId, signals: foreign.length },
          'signals about commands that are not of their device were dropped; tenant and device are those of the first',
        );
      }
      if (moved.length > 0) options.wakeRelay();
    },
  });
}

function isCommandSignal(event: Event): event is CommandSignal {
  return signalTypes.some((type) => type === event.type);
}
