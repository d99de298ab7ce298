/**
 * The actions subgraph: commands to devices, from `sendCommand` to their one final status, and webhooks (`webhook/`). Four things move a command, and
 * all of them go through `command/life-cycle.ts`: the two mutations, what devices say (`command/signal-consumer.ts`) and
 * the clock (`command/expiry.ts`). Which devices there are it hears from their events (`target/`).
 */
import type { FastifyInstance } from 'fastify';
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import { createRelayWaker } from '../../backbone/store/wake-relay.js';
import type { Config } from '../../platform/config/config.js';
import type { PrismaClient } from '../../platform/database/prisma.js';
import { sqlOf } from '../../platform/database/sql.js';
import { notStarted, type LocalSubgraph } from '../../platform/graphql/local-execution.js';
import { createSubgraphSchema, serveSubgraph, type SubgraphServer } from '../../platform/graphql/subgraph.js';
import { createHttpService, listen } from '../../platform/http/service.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import type { ServiceRole } from '../../platform/lifecycle/role.js';
import type { Rounds } from '../../platform/lifecycle/rounds.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';
import { createCommandCheck } from './command/accept-command.js';
import { createCommandLoaders } from './command/command-loaders.js';
import { createCommandMetrics } from './command/command-metrics.js';
import { createCommandMutations } from './command/command-mutations.js';
import { startExpiry } from './command/expiry.js';
import { createSignalConsumer } from './command/signal-consumer.js';
import { createEffectConsumer } from './effect/effect-consumer.js';
import { createJobCounts } from './job/job-page.js';
import { createJobMutations } from './job/job-mutations.js';
import { startJobWorker } from './job/job-worker.js';
import { startDeadLetterRetention } from '../../backbone/consumer/dead-letter-retention.js';
import { startKeyRetention } from '../../backbone/store/key-retention.js';
import { createDeadLetterMutations } from './dead-letter/dead-letter-mutations.js';
import { createDeadLetterResolvers } from './dead-letter/dead-letter-resolvers.js';
import { createAlertLoaders, createAlerts } from './alert/alerts.js';
import { createResolvers, type ActionsContext } from './resolvers.js';
import { createRuleLoader, createRules } from './rule/rules.js';
import { createTargetConsumer } from './target/target-consumer.js';
import { createTargetWatch } from './target/target-watch.js';
import { findWebhooks } from './webhook/webhook-rows.js';
import { createWebhooks } from './webhook/webhooks.js';

export interface ActionsRoleOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly pool: pg.Pool;
  readonly prisma: PrismaClient;
  readonly bus: EventBus;
  readonly verifyToken: VerifyToken;
}

/** Makes the role. It serves its graph at POST /graphql of `config.ports.actions`. */
export function createActionsRole(options: ActionsRoleOptions): ServiceRole & LocalSubgraph {
  const { config, log, metrics, pool, prisma, bus, verifyToken } = options;
  const sql = sqlOf(pool);
  const wakeRelay = createRelayWaker({ pool, log });
  const commandMetrics = createCommandMetrics(metrics);
  const watch = createTargetWatch({ sql, log });
  const webhooks = createWebhooks({ config: config.webhooks, pool, bus, log, metrics, wakeRelay });
  const rules = createRules({
    bus,
    pool,
    log,
    metrics,
    watch,
    wakeRelay,
    findWebhooks,
    unknownTimeoutMs: config.consistencyTimeoutMs,
  });
  const alerts = createAlerts({ bus, pool, log, metrics, wakeRelay });
  const consumers = [
    webhooks,
    rules.consumer,
    alerts.consumer,
    createTargetConsumer({ bus, pool, log, metrics, watch }),
    createSignalConsumer({ bus, pool, log, metrics, commandMetrics, wakeRelay }),
  ];
  const findFault = createCommandCheck();
  const jobs = createJobMutations({
    prisma,
    sql,
    wakeRelay,
    findFault,
    wakeWorker: () => jobWorker?.wake(),
  });
  const commandOptions = { prisma, sql, watch, wakeRelay, metrics: commandMetrics, findFault };
  const mutations = createCommandMutations({ ...commandOptions, unknownDeviceTimeoutMs: config.consistencyTimeoutMs });
  const deadLetters = createDeadLetterResolvers({ sql, mutations: createDeadLetterMutations({ pool, wakeRelay }) });
  const effects = createEffectConsumer({
    bus,
    pool,
    log,
    metrics,
    tries: config.webhooks.retryDelaysMs.length + 1,
    // It does not wait for a device to become known: nobody waits for its answer, and others' alerts do.
    commands: createCommandMutations({ ...commandOptions, unknownDeviceTimeoutMs: 0 }),
    onDone() {
      webhooks.wake();
      wakeRelay();
    },
  });
  consumers.push(effects);
  const service = { name: 'actions', host: config.host, port: config.ports.actions };
  let app: FastifyInstance | undefined;
  let server: SubgraphServer | undefined;
  let clocks: readonly Rounds[] | undefined;
  let jobWorker: Rounds | undefined;
  let retentions: readonly { stop(): Promise<void> }[] = [];
  let port: number | undefined;

  const ready = async (): Promise<void> => {
    if (clocks === undefined) throw new Error('not started');
    await pool.query('SELECT 1');
    for (const part of [...clocks, ...consumers]) await part.ready();
  };

  return {
    name: service.name,
    ready,
    port() {
      if (port === undefined) throw new Error('The actions role has no port before it has started.');
      return port;
    },
    execute: async (request) => (server ? server.execute(request) : notStarted),
    async start() {
      for (const consumer of consumers) await consumer.start();
      jobWorker = startJobWorker({ pool, findFault, metrics: commandMetrics, log, wakeRelay });
      clocks = [startExpiry({ pool, metrics: commandMetrics, log, wakeRelay }), alerts.start(), jobWorker];
      retentions = [
        startKeyRetention({ sql, log, table: 'actions.idempotency_keys' }),
        startDeadLetterRetention({ sql, log, busRetentionMs: config.bus.retentionMs }),
      ];
      app = createHttpService({ ...service, log, metrics, ready });
      server = await serveSubgraph<ActionsContext>({
        app,
        verifyToken,
        log,
        production: config.mode === 'production',
        schema: createSubgraphSchema(
          readFileSync(new URL('schema.graphql', import.meta.url), 'utf8'),
          createResolvers({
            sql,
            mutations,
            jobs,
            webhooks: webhooks.resolvers,
            deadLetters,
            rules: rules.resolvers,
            alerts: alerts.resolvers,
          }),
        ),
        context: (base) => ({
          ...base,
          commands: createCommandLoaders(sql, base.identity.tenant),
          rules: createRuleLoader(sql, base.identity.tenant),
          alerts: createAlertLoaders(sql, base.identity.tenant),
          jobCounts: createJobCounts(sql),
        }),
      });
      port = await listen(app, service);
      log.info({ port }, 'actions subgraph is listening');
    },
    async stop() {
      // First those who wait for a device, so that the requests in hand can end.
      await watch.stop();
      await server?.stop();
      await app?.close();
      server = undefined;
      app = undefined;
      for (const consumer of consumers) await consumer.stop();
      for (const clock of clocks ?? []) await clock.stop();
      for (const retention of retentions) await retention.stop();
    },
  };
}
