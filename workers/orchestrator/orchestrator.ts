/**
 * The orchestrator: asks the rules for each reading, for word of connections, and as time passes, and says in the event store which
 * fire and recover. What a rule remembers of a device and what it says of it commit in one transaction, so a kill between the two
 * is not possible: a batch that comes again finds that it has been heard.
 * Four parts: readings and connections (consumers), time (sweep.ts), and the definitions of rules and devices (definitions/).
 * Any number of instances may run: the bus gives each its partitions, the rows of devices are locked while they are changed.
 */
import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import { topics } from '../../backbone/bus/topics.js';
import { createConsumer } from '../../backbone/consumer/consumer.js';
import { createRelayWaker } from '../../backbone/store/wake-relay.js';
import { sqlOf } from '../../platform/database/sql.js';
import type { Role } from '../../platform/lifecycle/role.js';
import type { Rounds } from '../../platform/lifecycle/rounds.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';
import { createDefinitionConsumer } from './definitions/definition-consumer.js';
import { createOrchestratorMetrics } from './orchestrator-metrics.js';
import { createPresenceConsumer } from './presence-consumer.js';
import { createRuleBook } from './rule-book.js';
import { startSweep } from './sweep.js';
import { hearTelemetry } from './telemetry.js';
import { createDeviceWatch } from './watch/device-watch.js';

export interface OrchestratorRoleOptions {
  readonly log: Logger;
  readonly metrics: Registry;
  readonly pool: pg.Pool;
  readonly bus: EventBus;
}

/** Makes the role. */
export function createOrchestratorRole(options: OrchestratorRoleOptions): Role {
  const { log, pool, bus } = options;
  const metrics = createOrchestratorMetrics(options.metrics);
  const book = createRuleBook({ sql: sqlOf(pool), log, metrics });
  const watch = createDeviceWatch({ pool, log, metrics, book, wakeRelay: createRelayWaker({ pool, log }) });
  const shared = { bus, pool, log, metrics: options.metrics };
  const telemetry = hearTelemetry({ sql: sqlOf(pool), book, watch, metrics });
  const consumers = [
    createDefinitionConsumer({ ...shared, watch }),
    createPresenceConsumer({ ...shared, watch }),
    createConsumer({
      ...shared,
      name: 'orchestrator-telemetry',
      topics: [topics.telemetry],
      types: ['io.fleetgraph.telemetry.received.v1'],
      async handle(delivered, signal) {
        await telemetry(
          delivered.flatMap(({ event }) => (event.type === 'io.fleetgraph.telemetry.received.v1' ? [event] : [])),
          signal,
        );
      },
    }),
  ];
  let sweep: Rounds | undefined;

  return {
    name: 'orchestrator',
    async start() {
      await book.start();
      for (const consumer of consumers) await consumer.start();
      sweep = startSweep({ watch, log, metrics });
    },
    async stop() {
      for (const consumer of consumers) await consumer.stop();
      await sweep?.stop();
      await book.stop();
    },
    async ready() {
      if (sweep === undefined) throw new Error('not started');
      await book.ready();
      await sweep.ready();
      for (const consumer of consumers) await consumer.ready();
    },
  };
}
