/** A gateway in front of one subgraph whose WebSocket sends what a test wants, valid or not. */
import { composeServices } from '@apollo/composition';
import { parse } from 'graphql';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { WebSocketServer, type WebSocket } from 'ws';
import { createGatewayRole } from '../../../gateway/gateway.js';
import { fixedSupergraph } from '../../../gateway/supergraph/supergraph-source.js';
import { readConfig } from '../../../platform/config/config.js';
import { openSocket, type ProtocolClient } from '../protocol-client.js';

/** An operation that the gateway has begun at the subgraph. */
export interface ScriptedOperation {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly extensions: Readonly<Record<string, unknown>>;
  /** The message as it came. */
  readonly text: string;
  readonly socket: WebSocket;
  /** Sends a message of the operation: its id is put in. */
  readonly send: (message: object) => void;
  /** Sends `next` with this JSON as its payload, in the usual form. */
  readonly next: (payload: string) => void;
}

export interface ScriptedStreams extends AsyncDisposable {
  /** Set by a test. What the subgraph does with an operation. */
  onSubscribe: (operation: ScriptedOperation) => void;
  /** Set by a test. Answers the upgrade to a WebSocket in another way. @returns whether it did. */
  onUpgrade: (socket: Duplex, request: IncomingMessage) => boolean;
  /** Set by a test. Takes the place of the acknowledgement. */
  onInit: (socket: WebSocket) => void;
  /** Set by a test. Answers queries of the gateway. */
  onQuery: (response: ServerResponse) => void;
  /** Connections that the gateway has opened, and operations that it has begun, so far. */
  readonly counts: { connections: number; operations: number };
  /** Lines of the gateway's log. */
  readonly log: readonly LogLine[];
  client(): Promise<ProtocolClient>;
  /** An operation over HTTP. */
  ask(query: string): Promise<unknown>;
}

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly err?: { readonly message: string; readonly stack?: string };
}

const link = `extend schema
  @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable", "@inaccessible", "@composeDirective"])
  @link(url: "https://fleetgraph.io/resumable/v1.0", import: ["@resumable"])
  @composeDirective(name: "@resumable")
directive @resumable on FIELD_DEFINITION
`;

/** @param sdl of federation 2, with `@resumable` */
export async function startScriptedStreams(
  sdl: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<ScriptedStreams> {
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'graphql-transport-ws' });
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      world.onQuery(response);
    });
  });
  const upgraded: Duplex[] = [];
  server.on('upgrade', (request, socket, head) => {
    world.counts.connections += 1;
    socket.on('error', () => socket.destroy());
    upgraded.push(socket);
    if (world.onUpgrade(socket, request)) return;
    sockets.handleUpgrade(request, socket, head, (opened) => {
      opened.on('message', (data: Buffer) => receive(opened, data.toString()));
    });
  });
  const receive = (socket: WebSocket, text: string): void => {
    const { type, id, payload } = JSON.parse(text) as {
      type: string;
      id: string;
      payload: Pick<ScriptedOperation, 'query' | 'variables' | 'extensions'>;
    };
    if (type === 'connection_init') world.onInit(socket);
    if (type === 'ping') socket.send('{"type":"pong"}');
    if (type !== 'subscribe') return;
    world.counts.operations += 1;
    world.onSubscribe({
      ...payload,
      text,
      socket,
      send: (message) => socket.send(JSON.stringify({ id, ...message })),
      next: (json) => socket.send(`{"id":"${id}","type":"next","payload":${json}}`),
    });
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { supergraphSdl = '', errors } = composeServices([
    { name: 'a', url: `http://127.0.0.1:${port}/graphql`, typeDefs: parse(link + sdl) },
  ]);
  if (errors) throw new Error(errors.map(({ message }) => message).join('\n'));
  const log: LogLine[] = [];
  const gateway = createGatewayRole({
    config: readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0', EXPLORER: 'false', ...settings }),
    log: pino({ level: 'debug' }, { write: (line) => void log.push(JSON.parse(line) as LogLine) }),
    metrics: new Registry(),
    supergraph: fixedSupergraph(async () => supergraphSdl),
  });
  const clients: ProtocolClient[] = [];
  const acknowledge = (socket: WebSocket): void => socket.send('{"type":"connection_ack"}');
  const url = (): string => `http://127.0.0.1:${gateway.port()}/graphql`;
  const world: ScriptedStreams = {
    log,
    counts: { connections: 0, operations: 0 },
    onSubscribe: () => undefined,
    onUpgrade: () => false,
    onInit: acknowledge,
    onQuery: (response) => response.end('{"data":{"__typename":"Query"}}'),
    async client() {
      const client = await openSocket(url(), {});
      clients.push(client);
      return client;
    },
    async ask(query) {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(url(), { method: 'POST', headers, body: JSON.stringify({ query }) });
      return response.json();
    },
    async [Symbol.asyncDispose]() {
      for (const { socket } of clients) socket.terminate();
      await gateway.stop();
      for (const socket of upgraded) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await gateway.start();
  return world;
}
