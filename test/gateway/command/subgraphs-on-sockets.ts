/** Two small subgraphs on one port, HTTP and WebSocket, and the supergraph that they compose to, for tests of the command. */
import { composeServices } from '@apollo/composition';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { execute, parse, subscribe, type GraphQLSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

export interface SocketSubgraphs extends AsyncDisposable {
  /** Of both; if it is said, of a `weather` that has one more field, or no wind. */
  supergraph(change?: Change): string;
  /** Where each is, by its name. */
  readonly urls: Readonly<Record<string, string>>;
  /** From now on `weather` has the field that it has not at first. */
  rain(): void;
  /** Headers of the last request to a subgraph. */
  readonly headers: IncomingHttpHeaders;
  /** Gives an event to every open `Subscription.watched`. */
  blow(): void;
  /** How many listen to it. */
  readonly watchers: number;
  /** Ends what waits in `Query.slow`. */
  release(): void;
  /** How many wait in it. */
  readonly waiting: number;
  /** Every connection breaks, and nothing listens any more. */
  leave(): Promise<void>;
  /** Listens again, on the same port. */
  comeBack(): Promise<void>;
}

const link = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])';
type Change = 'more' | 'calm';
const weather = (change?: Change) => `${link}
  type Query { station: Station slow: String }
  type Subscription { gusts: Station watched: Station }
  type Station @key(fields: "id") { id: ID! ${change === 'calm' ? '' : 'wind: Int'} ${change === 'more' ? 'rain: Int' : ''} }`;
const names = `${link} type Station @key(fields: "id") { id: ID! name: String }`;

export async function startSocketSubgraphs(): Promise<SocketSubgraphs> {
  const station = { __typename: 'Station', id: 's1', wind: 12, rain: 3 };
  let headers: IncomingHttpHeaders = {};
  const waiting = new Set<() => void>();
  const slow = async (): Promise<string> => {
    await new Promise<void>((resolve) => waiting.add(resolve));
    return 'done';
  };
  const watchers = new Set<() => void>();
  const schemaOfWeather = (change?: Change): GraphQLSchema =>
    buildSubgraphSchema({
      typeDefs: parse(weather(change)),
      resolvers: {
        Query: { station: () => station, slow },
        Station: { __resolveReference: () => station },
        Subscription: {
          gusts: {
            async *subscribe() {
              for (const wind of [20, 30]) yield { gusts: { ...station, wind } };
            },
          },
          watched: {
            async *subscribe() {
              for (;;) {
                yield { watched: station };
                await new Promise<void>((resolve) => watchers.add(resolve));
              }
            },
          },
        },
      },
    });
  const schemas: Record<string, GraphQLSchema> = {
    weather: schemaOfWeather(),
    names: buildSubgraphSchema({
      typeDefs: parse(names),
      resolvers: { Station: { __resolveReference: () => ({ ...station, name: 'Harbour' }) } },
    }),
  };
  const server = createServer((request, response) => {
    headers = request.headers;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { query, variables } = JSON.parse(Buffer.concat(chunks).toString()) as {
        query: string;
        variables?: object;
      };
      const schema = schemas[request.url?.slice(1) ?? ''];
      if (!schema) throw new Error('There is no such subgraph.');
      void Promise.resolve(execute({ schema, document: parse(query), variableValues: { ...variables } })).then(
        (result) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result)),
      );
    });
  });
  const sockets = new WebSocketServer({ server, path: '/weather' });
  const webSocket = useServer({ schema: schemas['weather'], execute, subscribe }, sockets);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const root = `http://127.0.0.1:${port}`;
  return {
    urls: { weather: `${root}/weather`, names: `${root}/names` },
    rain() {
      schemas['weather'] = schemaOfWeather('more');
    },
    supergraph(change) {
      const { supergraphSdl } = composeServices([
        { name: 'weather', url: `${root}/weather`, typeDefs: parse(weather(change)) },
        { name: 'names', url: `${root}/names`, typeDefs: parse(names) },
      ]);
      if (supergraphSdl === undefined) throw new Error('The subgraphs do not compose.');
      return supergraphSdl;
    },
    get headers() {
      return headers;
    },
    blow() {
      for (const wake of watchers) wake();
      watchers.clear();
    },
    get watchers() {
      return watchers.size;
    },
    get waiting() {
      return waiting.size;
    },
    release() {
      for (const resolve of waiting) resolve();
      waiting.clear();
    },
    async leave() {
      for (const socket of sockets.clients) socket.terminate();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
    comeBack: () => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve)),
    async [Symbol.asyncDispose]() {
      await webSocket.dispose();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
