/**
 * The query subgraph: the read side of the graph and all of its subscriptions, over HTTP and WebSocket on one port, path
 * /graphql. It reads the schema `projections`, which the projector writes, and follows the changes that the projector
 * publishes (live/change-feed.ts). It writes nothing.
 */
import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import type { Config } from '../../platform/config/config.js';
import { sqlOf } from '../../platform/database/sql.js';
import type { RequestContext } from '../../platform/graphql/context.js';
import { notStarted, type LocalSubgraph } from '../../platform/graphql/local-execution.js';
import { createSubgraphSchema, serveSubgraph, type SubgraphServer } from '../../platform/graphql/subgraph.js';
import { createHttpService, listen } from '../../platform/http/service.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import type { ServiceRole } from '../../platform/lifecycle/role.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';
import { createQueryContext, type QueryContext } from './context.js';
import { createChangeFeed } from './live/change-feed.js';
import { serveWebSocket, type WebSocketEndpoint } from './live/websocket.js';
import { createQueryMetrics } from './query-metrics.js';
import { createResolvers } from './resolvers.js';
import { refuseUnstorableText } from './unstorable-text.js';

export interface QueryRoleOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly pool: pg.Pool;
  readonly bus: EventBus;
  readonly verifyToken: VerifyToken;
}

/** Makes the role. It listens on `config.ports.query`. */
export function createQueryRole(options: QueryRoleOptions): ServiceRole & LocalSubgraph {
  const { config, log, pool, bus, verifyToken } = options;
  const sql = refuseUnstorableText(sqlOf(pool));
  const metrics = createQueryMetrics(options.metrics);
  const feed = createChangeFeed({ sql, bus, log, metrics });
  const live = { sql, feed, metrics, timeoutMs: config.consistencyTimeoutMs };
  const service = { name: 'query', host: config.host, port: config.ports.query };
  const production = config.mode === 'production';

  let app: FastifyInstance | undefined;
  let server: SubgraphServer | undefined;
  let endpoint: WebSocketEndpoint | undefined;
  let port: number | undefined;

  const ready = async (): Promise<void> => {
    if (port === undefined) throw new Error('not started');
    await sql.query('SELECT 1');
    await feed.ready();
  };

  const contextFor = (isOneAnswer: boolean) => (base: RequestContext) =>
    createQueryContext(base, {
      sql,
      retentionDays: config.telemetry.retentionDays,
      consistency: live,
      isOneAnswer,
    });

  return {
    name: service.name,
    ready,
    port() {
      if (port === undefined) throw new Error('The query role has no port before it has started.');
      return port;
    },
    execute: async (request) => (server ? server.execute(request) : notStarted),
    async start() {
      await feed.start();
      const schema = createSubgraphSchema(
        readFileSync(new URL('schema.graphql', import.meta.url), 'utf8'),
        createResolvers({ sql, live }),
      );
      app = createHttpService({ ...service, log, metrics: options.metrics, ready });
      const shared = { schema, verifyToken, production, log };
      server = await serveSubgraph<QueryContext>({ ...shared, app, context: contextFor(true) });
      endpoint = serveWebSocket({
        ...shared,
        server: app.server,
        path: '/graphql',
        metrics,
        context: contextFor(false),
      });
      port = await listen(app, service);
      log.info({ port }, 'query subgraph is listening');
    },
    async stop() {
      // Sockets first: their clients come again elsewhere while requests in hand are still answered.
      await endpoint?.stop();
      await server?.stop();
      await app?.close();
      await feed.stop();
      endpoint = undefined;
      server = undefined;
      app = undefined;
      port = undefined;
    },
  };
}
