/**
 * The device subgraph: the registry of the fleet (`registry/`), the twin of each device (`twin/`), who may connect as a
 * device (`credentials/`), what an external broker asks about that (`broker-access/`), and who is connected, as far as the
 * list of devices filters by it (`presence/`).
 */
import type { FastifyInstance } from 'fastify';
import { readFileSync } from 'node:fs';
import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import type { DeviceDirectory } from '../../backbone/devices/device-directory.js';
import { createRelayWaker } from '../../backbone/store/wake-relay.js';
import type { Config } from '../../platform/config/config.js';
import type { PrismaClient } from '../../platform/database/prisma.js';
import { sqlOf } from '../../platform/database/sql.js';
import { notStarted, type LocalSubgraph } from '../../platform/graphql/local-execution.js';
import { createSubgraphSchema, serveSubgraph, type SubgraphServer } from '../../platform/graphql/subgraph.js';
import { createHttpService, listen } from '../../platform/http/service.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import type { ServiceRole } from '../../platform/lifecycle/role.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';
import { addBrokerAccess } from './broker-access/broker-access.js';
import { createDirectory } from './credentials/directory.js';
import { startKeyRetention } from '../../backbone/store/key-retention.js';
import { createPresenceConsumer } from './presence/presence-consumer.js';
import { createRegistryMutations } from './registry/registry-mutations.js';
import { createLoaders, createResolvers, type DeviceContext } from './resolvers.js';
import { createReportConsumer } from './twin/report-consumer.js';

export interface DeviceRoleOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly pool: pg.Pool;
  readonly prisma: PrismaClient;
  readonly bus: EventBus;
  readonly verifyToken: VerifyToken;
}

/** Makes the role. It serves its graph at POST /graphql of `config.ports.device`; `directory` works before the start, too. */
export function createDeviceRole(
  options: DeviceRoleOptions,
): ServiceRole & LocalSubgraph & { readonly directory: DeviceDirectory } {
  const { config, log, metrics, pool, prisma, bus, verifyToken } = options;
  const sql = sqlOf(pool);
  const wakeRelay = createRelayWaker({ pool, log });
  const consumers = [
    createPresenceConsumer({ bus, pool, log, metrics }),
    createReportConsumer({ bus, pool, log, metrics, wakeRelay }),
  ];
  const service = { name: 'device', host: config.host, port: config.ports.device };
  let app: FastifyInstance | undefined;
  let server: SubgraphServer | undefined;
  let keyRetention: ReturnType<typeof startKeyRetention> | undefined;
  let port: number | undefined;

  const ready = async (): Promise<void> => {
    if (port === undefined) throw new Error('not started');
    await pool.query('SELECT 1');
    for (const consumer of consumers) await consumer.ready();
  };

  return {
    name: service.name,
    directory: createDirectory(sql),
    ready,
    port() {
      if (port === undefined) throw new Error('The device role has no port before it has started.');
      return port;
    },
    execute: async (request) => (server ? server.execute(request) : notStarted),
    async start() {
      for (const consumer of consumers) await consumer.start();
      keyRetention = startKeyRetention({ sql, log, table: 'device.idempotency_keys' });
      app = createHttpService({ ...service, log, metrics, ready, maxBodyBytes: 4_194_304 });
      server = await serveSubgraph<DeviceContext>({
        app,
        verifyToken,
        log,
        production: config.mode === 'production',
        schema: createSubgraphSchema(
          readFileSync(new URL('schema.graphql', import.meta.url), 'utf8'),
          createResolvers({ sql, mutations: createRegistryMutations({ prisma, sql, wakeRelay }) }),
        ),
        context: (base) => ({ ...base, ...createLoaders(sql, base.identity.tenant) }),
      });
      const { authSecret } = config.mqtt;
      if (authSecret !== undefined)
        await addBrokerAccess(app, { mqtt: { ...config.mqtt, authSecret }, sql, log, metrics });
      port = await listen(app, service);
      log.info({ port }, 'device subgraph is listening');
    },
    async stop() {
      await server?.stop();
      await app?.close();
      server = undefined;
      app = undefined;
      for (const consumer of consumers) await consumer.stop();
      await keyRetention?.stop();
    },
  };
}
