/** Two subgraphs on one port of which the new one takes fields over from the old one by labels, and a gateway before them. */
import { composeServices } from '@apollo/composition';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { execute, parse, subscribe, type GraphQLSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { WebSocketServer } from 'ws';
import { createGatewayRole } from '../../../gateway/gateway.js';
import type { SupergraphSource } from '../../../gateway/supergraph/supergraph-source.js';
import { readConfig } from '../../../platform/config/config.js';
import type { VerifyToken } from '../../../platform/identity/verify-token.js';
import { silentLog } from '../../world/database.js';

export interface OverrideWorld extends AsyncDisposable {
  /** Of `/graphql`. */
  readonly url: string;
  readonly metrics: Registry;
  /** The data of an operation. */
  ask(query: string, headers?: Readonly<Record<string, string>>): Promise<unknown>;
  /** Takes a supergraph in which the field `share` has another label. */
  relabel(share: string): void;
  /** Gives an event to every open `Subscription.watched`. */
  emit(): void;
}

const link = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@override"])';
const fields = ['never', 'always', 'share', 'named', 'other'] as const;

const oldSdl = `${link}
  type Query { station: Station named: String plain: String }
  type Mutation { named: String }
  type Subscription { watched: Station named: String }
  type Station @key(fields: "id") { id: ID! ${fields.map((name) => `${name}: String`).join(' ')} }`;
const newSdl = (share: string): string => `${link}
  type Query { named: String @override(from: "old", label: "named") }
  type Mutation { named: String @override(from: "old", label: "named") }
  type Subscription { named: String @override(from: "old", label: "named") }
  type Station @key(fields: "id") {
    id: ID!
    never: String @override(from: "old", label: "percent(0)")
    always: String @override(from: "old", label: "percent(100)")
    share: String @override(from: "old", label: "${share}")
    named: String @override(from: "old", label: "named")
    other: String @override(from: "old", label: "other")
  }`;

export async function startOverrideWorld(
  settings: Readonly<Record<string, string>> = {},
  verifyToken?: VerifyToken,
): Promise<OverrideWorld> {
  const waiting = new Set<() => void>();
  const schemaOf = (name: string, sdl: string): GraphQLSchema => {
    const station = { id: 's', ...Object.fromEntries(fields.map((field) => [field, name])) };
    const named = (): string => name;
    const events = (value: unknown) => ({
      resolve: (): unknown => value,
      async *subscribe() {
        for (;;) {
          yield {};
          await new Promise<void>((resolve) => waiting.add(resolve));
        }
      },
    });
    return buildSubgraphSchema({
      typeDefs: parse(sdl),
      resolvers: {
        Query: { named, ...(name === 'old' ? { station: () => station, plain: () => 'plain' } : {}) },
        Mutation: { named },
        Subscription: { named: events(name), ...(name === 'old' ? { watched: events(station) } : {}) },
        Station: { __resolveReference: () => station },
      },
    });
  };
  const sdls = { old: oldSdl, new: newSdl('percent(50)') };
  const schemas = new Map(Object.entries(sdls).map(([name, sdl]) => [name, schemaOf(name, sdl)]));
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { query, variables } = JSON.parse(Buffer.concat(chunks).toString()) as {
        readonly query: string;
        readonly variables: Record<string, unknown>;
      };
      const schema = schemas.get(request.url?.slice(1) ?? '');
      if (!schema) throw new Error('There is no such subgraph.');
      void Promise.resolve(execute({ schema, document: parse(query), variableValues: variables })).then((result) =>
        response
          .writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=60, public' })
          .end(JSON.stringify(result)),
      );
    });
  });
  const streams = [...schemas].map(([name, schema]) => {
    const sockets = new WebSocketServer({ noServer: true });
    return { path: `/${name}`, sockets, stop: useServer({ schema, execute, subscribe }, sockets) };
  });
  server.on('upgrade', (request, socket, head) => {
    const sockets = streams.find(({ path }) => path === request.url)?.sockets;
    sockets?.handleUpgrade(request, socket, head, (opened) => sockets.emit('connection', opened, request));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const compose = (share: string): string => {
    const { supergraphSdl, errors } = composeServices([
      { name: 'old', url: `${root}/old`, typeDefs: parse(oldSdl) },
      { name: 'new', url: `${root}/new`, typeDefs: parse(newSdl(share)) },
    ]);
    if (supergraphSdl === undefined) throw new Error((errors ?? []).map(({ message }) => message).join('\n'));
    return supergraphSdl;
  };
  let change: (sdl: string) => void = () => undefined;
  const supergraph: SupergraphSource = {
    read: async () => compose('percent(50)'),
    follow(changed) {
      change = changed;
      return () => undefined;
    },
  };
  const metrics = new Registry();
  const gateway = createGatewayRole({
    config: readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0', EXPLORER: 'false', ...settings }),
    log: silentLog,
    metrics,
    supergraph,
    ...(verifyToken ? { verifyToken } : {}),
  });
  await gateway.start();
  const url = `http://127.0.0.1:${gateway.port()}/graphql`;
  return {
    url,
    metrics,
    async ask(query, headers = {}) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ query }),
      });
      const { data, errors } = (await response.json()) as { readonly data?: unknown; readonly errors?: unknown };
      if (errors !== undefined) throw new Error(JSON.stringify(errors));
      return data;
    },
    relabel: (share) => change(compose(share)),
    emit() {
      for (const wake of waiting) wake();
      waiting.clear();
    },
    async [Symbol.asyncDispose]() {
      await gateway.stop();
      for (const { stop } of streams) await stop.dispose();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
