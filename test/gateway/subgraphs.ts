/**
 * Subgraphs to put a gateway in front of: the schemas of the real ones, on sockets of their own, with data that a test
 * sets. So a test can make a subgraph slow, wrong or gone at the very moment that it is about.
 */
import type { FastifyInstance } from 'fastify';
import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { FleetgraphError } from '../../platform/errors.js';
import type { RequestContext } from '../../platform/graphql/context.js';
import { scalarResolvers } from '../../platform/graphql/scalars.js';
import { createSubgraphSchema, serveSubgraph, type Resolvers } from '../../platform/graphql/subgraph.js';
import { createHttpService, listen } from '../../platform/http/service.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import { createQueryMetrics } from '../../subgraphs/query/query-metrics.js';
import { serveWebSocket } from '../../subgraphs/query/live/websocket.js';
import { silentLog } from '../world/database.js';
import { createLiveSource, type LiveSource } from './live-source.js';

export interface TestDevice {
  readonly id: string;
  readonly name: string;
  readonly labels?: readonly { readonly key: string; readonly value: string }[];
}

/** A request as a subgraph got it. */
export interface SeenRequest {
  readonly subgraph: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly query: string;
}

export interface TestSubgraph {
  url(): string;
  start(): Promise<void>;
  /** Every connection breaks, and nothing listens any more. `start` brings it back on the same port. */
  stop(): Promise<void>;
}

export interface TestSubgraphs {
  readonly device: TestSubgraph;
  readonly actions: TestSubgraph;
  readonly query: TestSubgraph;
  /** Devices by tenant. */
  readonly devices: Map<string, TestDevice[]>;
  /** Whatever is in here by the id of a device is thrown when its registry entry is asked for. */
  readonly failures: Map<string, Error>;
  readonly seen: SeenRequest[];
  /** What the subscription fields of the query subgraph give. */
  readonly live: LiveSource;
  stop(): Promise<void>;
}

/** Serves all but the `absent` ones, whose ports are known and closed until they are started. */
export async function startSubgraphs(
  verifyToken: VerifyToken,
  absent: readonly ('device' | 'actions' | 'query')[] = [],
): Promise<TestSubgraphs> {
  const devices = new Map<string, TestDevice[]>();
  const failures = new Map<string, Error>();
  const seen: SeenRequest[] = [];
  const live = createLiveSource();
  const find = async (id: string, { identity }: RequestContext) => {
    const failure = failures.get(id);
    if (failure) throw failure;
    const found = devices.get(identity.tenant)?.find((device) => device.id === id);
    return found ? { status: 'ACTIVE', revision: 1, labels: [], ...found } : null;
  };
  const resolvers: Record<'device' | 'actions' | 'query', Resolvers> = {
    device: {
      Query: {
        device: (_root: unknown, { id }: { id: string }, context: RequestContext) => find(id, context),
        devices: (_root: unknown, _args: unknown, context: RequestContext) => ({
          edges: (devices.get(context.identity.tenant) ?? []).map((device) => ({
            cursor: device.id,
            node: () => find(device.id, context),
          })),
        }),
      },
      Mutation: {
        updateDevice: (
          _root: unknown,
          { input }: { input: { id: string; name: string; expectedRevision?: number } },
          context: RequestContext,
        ) => {
          if (input.expectedRevision !== undefined)
            throw new FleetgraphError('CONFLICT', 'The device has revision 1.', { field: 'input.expectedRevision' });
          const all = devices.get(context.identity.tenant) ?? [];
          const index = all.findIndex(({ id }) => id === input.id);
          all[index] = { id: input.id, name: input.name };
          return { device: find(input.id, context), consistencyToken: 'after-update' };
        },
      },
      Device: {
        __resolveReference: ({ id }: { id: string }, context: RequestContext) => find(id, context),
        type: () => ({ id: 'generic', name: 'Generic', description: null, metrics: [] }),
      },
      DeviceType: { __resolveReference: ({ id }: { id: string }) => ({ id }) },
    },
    actions: {
      Query: {
        command: (_root: unknown, { id }: { id: string }) => ({ id, name: 'setpoint', device: { id: 'boiler' } }),
      },
      Command: { __resolveReference: ({ id }: { id: string }) => ({ id, name: 'setpoint' }) },
      Rule: { __resolveReference: ({ id }: { id: string }) => ({ id }) },
      Alert: { __resolveReference: ({ id }: { id: string }) => ({ id }) },
      Device: {
        __resolveReference: ({ id }: { id: string }) => ({ id }),
        commands: ({ id }: { id: string }) => ({
          edges: [{ cursor: 'c', node: { id: `command-of-${id}`, name: 'setpoint' } }],
        }),
      },
    },
    query: {
      Query: { fleet: () => ({ devices: 2, online: 1, byType: [] }) },
      Device: {
        __resolveReference: ({ id }: { id: string }) => ({ id }),
        presence: () => ({ online: true, lastSeen: null }),
        state: () => ({ version: 1, updatedAt: new Date(0), metrics: [] }),
      },
      Subscription: live.resolvers,
    },
  };
  const serve = (name: 'device' | 'actions' | 'query'): TestSubgraph => {
    let app: FastifyInstance | undefined;
    let port = 0;
    let stopSockets: (() => Promise<void>) | undefined;
    return {
      url: () => `http://127.0.0.1:${port}/graphql`,
      async start() {
        const typeDefs = readFileSync(new URL(`../../subgraphs/${name}/schema.graphql`, import.meta.url), 'utf8');
        const scalars = Object.entries(scalarResolvers).filter(([scalar]) => typeDefs.includes(`scalar ${scalar}\n`));
        const schema = createSubgraphSchema(typeDefs, { ...resolvers[name], ...Object.fromEntries(scalars) });
        const metrics = new Registry();
        const service = { name, host: '127.0.0.1', port };
        app = createHttpService({ ...service, log: silentLog, metrics, ready: async () => undefined });
        app.addHook('preHandler', async ({ headers, body }) => {
          seen.push({ subgraph: name, headers, query: (body as { query?: string } | undefined)?.query ?? '' });
        });
        const shared = {
          schema,
          verifyToken,
          production: false,
          log: silentLog,
          context: (base: RequestContext) => base,
        };
        await serveSubgraph({ ...shared, app });
        if (name === 'query') {
          const endpoint = serveWebSocket({
            ...shared,
            server: app.server,
            path: '/graphql',
            metrics: createQueryMetrics(metrics),
          });
          stopSockets = () => endpoint.stop();
        }
        port = await listen(app, service);
      },
      async stop() {
        await stopSockets?.();
        app?.server.closeAllConnections();
        await app?.close();
        stopSockets = undefined;
        app = undefined;
      },
    };
  };
  const subgraphs = { device: serve('device'), actions: serve('actions'), query: serve('query') };
  for (const subgraph of Object.values(subgraphs)) await subgraph.start();
  for (const name of absent) await subgraphs[name].stop();
  return {
    ...subgraphs,
    devices,
    failures,
    seen,
    live,
    async stop() {
      for (const subgraph of Object.values(subgraphs)) await subgraph.stop();
    },
  };
}
