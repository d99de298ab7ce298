/**
 * The gateway: one graph over the subgraphs. A request comes in by `transports/http.ts`, a
 * subscription by `transports/websocket/` or as a stream over HTTP; all are planned over the
 * supergraph (`supergraph/`), and no more is done than may be asked for (`guards/`). Queries and mutations are executed by
 * `execution/`; subscriptions by `subscriptions/`: the root field is subscribed to at its subgraph, and for each event the
 * fields of other subgraphs are fetched and joined.
 */
import type { FastifyInstance } from 'fastify';
import { readFile } from 'node:fs/promises';
import type { JSONWebKeySet } from 'jose';
import type { Config } from '../platform/config/config.js';
import { graphqlErrorFormatter } from '../platform/graphql/errors.js';
import type { ExecuteLocally } from '../platform/graphql/local-execution.js';
import type { Peers } from '../platform/cluster/worker-process.js';
import { createHttpService, listen, readiness, requestTimedOut } from '../platform/http/service.js';
import type { VerifyToken } from '../platform/identity/verify-token.js';
import type { ServiceRole } from '../platform/lifecycle/role.js';
import { pause } from '../platform/lifecycle/wait.js';
import type { Logger } from '../platform/observability/logger.js';
import type { Registry } from '../platform/observability/metrics.js';
import { addAuthRoutes } from './auth-routes.js';
import { addExplorerRoutes } from './explorer/explorer-routes.js';
import { createExecutor } from './execution/executor.js';
import { createResponseCache } from './execution/response-cache.js';
import { namingSubgraphs, withErrorsOfSubgraphs } from './execution/subgraphs/errors-of-subgraphs.js';
import { createSubgraphs } from './execution/subgraphs/subgraphs.js';
import { cacheObserver, createGatewayMetrics } from './gateway-metrics.js';
import { createGuards } from './guards/guards.js';
import { createJsonParser } from './guards/json.js';
import { createClientAddressOf } from './client-address.js';
import { readKnownOperations } from './guards/known-operations.js';
import { boundedErrors } from './guards/max-errors.js';
import { withoutSuggestions } from './guards/suggestions.js';
import { createContext, credentialsIn } from './request-context.js';
import { awaitSubgraphs, type SubgraphsAwaited } from './supergraph/await-subgraphs.js';
import { fixedSupergraph, type SupergraphSource } from './supergraph/supergraph-source.js';
import { createPlanning, stallMs } from './supergraph/planning/planning.js';
import { createRunningSupergraph } from './supergraph/running-supergraph.js';
import { createSupergraphUpdates } from './supergraph/supergraph-updates.js';
import { createSubscriptionEngine } from './subscriptions/engine.js';
import { planSubscriptionWith } from './subscriptions/plan.js';
import { presentError } from './present-error.js';
import { createUpstreams } from './subscriptions/upstream.js';
import { addGraphQLRoute } from './transports/http.js';
import type { HttpStreams } from './transports/http-streams.js';
import { createExecuteOnce } from './transports/execute-once.js';
import { admitAgain } from './transports/admit-again.js';
import { createOperations } from './transports/operations.js';
import { serveWebSocket, type WebSocketTransport } from './transports/websocket/websocket.js';

export interface GatewayRoleOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
  /** Absent: nobody is asked who they are, and the subgraphs are sent what came. */
  readonly verifyToken?: VerifyToken;
  /** URL of /graphql of each subgraph; asked at the start, when all of them listen. Default: what the supergraph says. */
  readonly subgraphs?: Readonly<Record<string, () => string>>;
  /** Those of them that run in this process: queries and mutations go to them without HTTP. */
  readonly local?: Readonly<Record<string, ExecuteLocally>>;
  /** Keys of the development issuer, served at /auth/jwks.json. */
  readonly jwks?: JSONWebKeySet;
  /** Makes a token for the explorer of a development machine. */
  readonly developmentToken?: () => Promise<string>;
  /** The supergraph to run; default: gateway/supergraph.graphql. */
  readonly supergraph?: SupergraphSource;
  /**
   * How long it is not ready any more and answers all the same, in milliseconds, before a stop closes anything: time for a
   * balancer in front to send clients elsewhere. Default 0: there is none.
   */
  readonly drainMs?: number;
  /** It is one of several workers: who asks any of them for metrics and readiness is answered for all. */
  readonly peers?: Peers;
}

/** Over how long the sockets are closed at a stop, at most: all at once, their clients would come again at once. */
const maxSpreadMs = 5_000;
/** How long a stop waits for requests that are being answered. */
const closeTimeoutMs = 10_000;

/** Makes the role. It serves the graph over HTTP and WebSocket at /graphql of `config.ports.gateway`. */
export function createGatewayRole(options: GatewayRoleOptions): ServiceRole {
  const { config, log, verifyToken } = options;
  const production = config.mode === 'production';
  const metrics = createGatewayMetrics(options.metrics);
  const { contentType } = options.metrics;
  const { peers } = options;
  const service = { name: 'gateway', host: config.host, port: config.ports.gateway };
  let app: FastifyInstance | undefined;
  let stopFollowing: (() => void) | undefined;
  let webSocket: WebSocketTransport | undefined;
  let httpStreams: HttpStreams | undefined;
  let closeUpstreams: (() => Promise<void>) | undefined;
  let closeSubgraphs: (() => Promise<void>) | undefined;
  let closePlanning: (() => Promise<void>) | undefined;
  let awaited: SubgraphsAwaited | undefined;
  let port: number | undefined;
  let draining = false;

  const updates = createSupergraphUpdates({ log, metrics });
  const running = createRunningSupergraph({
    log,
    updates,
    verifiesTokens: verifyToken !== undefined,
    subgraphs: options.subgraphs,
    planningTimeoutMs: Math.min(config.graph.planningTimeoutMs, stallMs),
  });
  const { urls, current } = running;
  /** A gateway with an old supergraph still answers, so it stays ready. */
  const readyDetails = (): Readonly<Record<string, unknown>> => {
    const problem = updates.problem();
    return problem ? { supergraph: { status: 'stale', ...problem } } : {};
  };

  return {
    name: service.name,
    async ready() {
      if (draining) throw new Error('stopping');
      if (port === undefined) throw new Error('not listening');
      awaited?.check();
    },
    port() {
      if (port === undefined) throw new Error('The gateway has no port before it has started.');
      return port;
    },
    async start() {
      const source = options.supergraph ?? ownSupergraph;
      const ready = peers?.ready ?? this.ready.bind(this);
      await running.start(source);
      app = createHttpService({
        ...service,
        log,
        metrics: peers ? { contentType, metrics: peers.metrics } : options.metrics,
        ready,
        readyDetails,
        maxBodyBytes: config.graph.bodyBytes,
        requestTimeoutMs: config.graph.bodyTimeoutMs,
        timeoutBody: JSON.stringify({
          errors: [presentError(requestTimedOut(config.graph.bodyTimeoutMs), graphqlErrorFormatter(log))],
        }),
      });
      const upstreams = createUpstreams({ urls, log });
      closeUpstreams = upstreams.close;
      const { graph } = config;
      const masking = namingSubgraphs(graphqlErrorFormatter(log));
      const format = graph.subgraphErrors === 'show' ? withErrorsOfSubgraphs(masking) : masking;
      const formatError = graph.introspection ? format : withoutSuggestions(format);
      const subgraphs = createSubgraphs({
        urls,
        metrics,
        log,
        timeoutMs: graph.subgraphTimeouts.allMs,
        timeoutsMs: graph.subgraphTimeouts.byNameMs,
        compresses: graph.subgraphCompression,
        ...(options.local ? { local: options.local } : {}),
      });
      closeSubgraphs = subgraphs.close;
      const engine = createSubscriptionEngine({
        supergraph: current,
        upstreams,
        subgraphs,
        log,
        metrics,
        formatError,
        readmit: (stream) => admitAgain(operations.peek, stream),
        limitErrors: (errors) => boundedErrors(errors, graph.errors),
      });
      const executor = createExecutor({
        supergraph: current,
        subgraphs,
        formatError,
        responses:
          graph.responseCacheBytes === 0
            ? undefined
            : createResponseCache(graph.responseCacheBytes, cacheObserver(metrics, 'responses')),
      });
      const knownOperations =
        graph.persistedOperations === undefined ? undefined : await readKnownOperations(graph.persistedOperations);
      const planning = createPlanning({ timeoutMs: graph.planningTimeoutMs, log });
      closePlanning = () => planning.close();
      const operations = createOperations({
        supergraph: current,
        prepare: (document, name, supergraph = current(), ...caller) =>
          executor.prepareWith(planning.plan, document, name, supergraph, ...caller),
        planSubscription: (...operation) => planSubscriptionWith(planning.plan, ...operation),
        metrics,
        guards: createGuards(graph, knownOperations),
        overrideLabels: graph.overrides.labels,
      });
      const executeOnce = createExecuteOnce({
        executor,
        formatError,
        metrics,
        timeoutMs: graph.requestTimeoutMs,
        maxErrors: graph.errors,
      });
      const parseJson = createJsonParser(graph.jsonDepth);
      const limits = config.webSocketLimits;
      const clientAddressOf = createClientAddressOf(config.trustedProxies);
      const transport = {
        engine,
        findOperation: operations.find,
        peekOperation: operations.peek,
        executeOnce,
        formatError,
        metrics,
        limits,
        parseJson,
      };
      httpStreams = await addGraphQLRoute({
        app,
        verifyToken,
        production,
        transport,
        parseJson,
        graph,
        knownOperations,
        clientAddressOf,
      });
      // Where balancers that were set up for other gateways look.
      app.get('/health', readiness(ready, readyDetails));
      if (verifyToken) addAuthRoutes(app, { verifyToken, ...(options.jwks ? { jwks: options.jwks } : {}) });
      if (config.explorer) await addExplorerRoutes(app, options.developmentToken);
      webSocket = serveWebSocket({
        ...transport,
        httpServer: app.server,
        maxMessagesPerSecond: graph.messagesPerSecond,
        clientAddressOf,
        createContext: (authorization, extensions, clientAddress) =>
          createContext(
            { authorization, ...credentialsIn(extensions, graph.overrides.header !== undefined), clientAddress },
            verifyToken,
          ),
      });
      port = await listen(app, service);
      draining = false;
      log.info({ port }, 'gateway is listening');
      awaited = awaitSubgraphs({
        urls: Object.fromEntries(Object.entries(urls).map(([name, url]) => [name, url()])),
        log,
      });
      stopFollowing = running.follow(source, async (next, signal) => {
        const switched = await operations.warmUp(next, signal, { subscribedTo: engine.documents() });
        return () => {
          switched();
          void engine.reload();
        };
      });
      // So that it is ready as soon as it has started, where the subgraphs are there already.
      await awaited.asked;
    },
    async stop() {
      stopFollowing?.();
      await awaited?.stop();
      if (!draining && port !== undefined) {
        draining = true;
        await pause(options.drainMs ?? 0);
      }
      // Streams first: their clients resume elsewhere while requests in hand are still answered.
      const spreadMs = Math.min(options.drainMs ?? 0, maxSpreadMs);
      await Promise.all([webSocket?.stop(spreadMs), httpStreams?.stop(spreadMs)]);
      const { server } = app ?? {};
      const timer = setTimeout(() => server?.closeAllConnections(), closeTimeoutMs);
      await app?.close();
      clearTimeout(timer);
      await Promise.all([closeUpstreams?.(), closeSubgraphs?.(), closePlanning?.()]);
      webSocket = undefined;
      httpStreams = undefined;
      app = undefined;
      closeUpstreams = undefined;
      closeSubgraphs = undefined;
      closePlanning = undefined;
    },
  };
}

const ownSupergraph = fixedSupergraph(() => readFile(new URL('supergraph.graphql', import.meta.url), 'utf8'));
