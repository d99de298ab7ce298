/**
 * The graph over WebSocket: subprotocol graphql-transport-ws on the path of HTTP. Who may connect, how many, for how long;
 * what is said on a connection is in connection.ts. A stop closes with 1001: clients come again and resume.
 */
import type { Server } from 'node:http';
import { CloseCode, handleProtocols } from 'graphql-ws';
import { WebSocketServer } from 'ws';
import type { Identity } from '../../../platform/identity/identity.js';
import { pause } from '../../../platform/lifecycle/wait.js';
import { ClientSocket } from './client-socket.js';
import type { ClientAddressOf } from '../../client-address.js';
import { Connection, type ConnectionOptions } from './connection.js';

export interface WebSocketTransport {
  /** Refuses new connections, closes the open ones with 1001, spread over `spreadMs`. */
  stop(spreadMs: number): Promise<void>;
}

export interface WebSocketLimits {
  /** Connections of all tenants. */
  readonly connections: number;
  readonly connectionsPerTenant: number;
  /** Operations at once on one connection. */
  readonly operationsPerConnection: number;
  /** For `connection_init`, milliseconds. */
  readonly initTimeoutMs: number;
  /** Between two pings, and as long as a pong is waited for, milliseconds. */
  readonly keepAliveMs: number;
  /** Without any operation a connection is closed after this long, milliseconds. */
  readonly idleMs: number;
}

const timeouts = {
  initTimeoutMs: 5_000,
  keepAliveMs: 15_000,
  idleMs: 600_000,
};

/** Whether it is the path of the HTTP route, with or without a trailing slash. */
function isGraphQLPath(url = ''): boolean {
  return /^\/graphql\/?(\?|$)/.test(url);
}

const maxMessageBytes = 1_048_576;
const closeTimeoutMs = 3_000;
const sweepMs = 250;

export function serveWebSocket(
  options: Omit<ConnectionOptions, 'onAuthenticated' | 'onClosed' | 'maxOperations'> & {
    readonly httpServer: Server;
    /** For the audit; default: not known. */
    readonly clientAddressOf?: ClientAddressOf;
    readonly limits: Pick<WebSocketLimits, 'connections' | 'connectionsPerTenant' | 'operationsPerConnection'> &
      Partial<WebSocketLimits>;
  },
): WebSocketTransport {
  const { metrics } = options;
  const limits = { ...timeouts, ...options.limits };
  const connections = new Set<Connection>();
  const ofTenant = new Map<string, number>();
  let isStopping = false;

  const connectionOptions: ConnectionOptions = {
    ...options,
    maxOperations: limits.operationsPerConnection,
    onAuthenticated(_connection, { tenant }) {
      const count = ofTenant.get(tenant) ?? 0;
      if (count >= limits.connectionsPerTenant) {
        metrics.refused.inc({ limit: 'connections_per_tenant' });
        return 'Too many connections of this tenant. Close some, or come again later.';
      }
      ofTenant.set(tenant, count + 1);
      return undefined;
    },
    onClosed(connection) {
      connections.delete(connection);
      letGo(connection.identity);
      metrics.sockets.dec();
    },
  };

  const letGo = (identity: Identity | undefined): void => {
    if (!identity) return;
    const count = (ofTenant.get(identity.tenant) ?? 1) - 1;
    if (count > 0) ofTenant.set(identity.tenant, count);
    else ofTenant.delete(identity.tenant);
  };

  // Not bound to the server: it would report a port that is taken as a defect of the WebSocket server, too.
  const sockets = new WebSocketServer({
    noServer: true,
    WebSocket: ClientSocket,
    maxPayload: maxMessageBytes,
    handleProtocols,
    clientTracking: false,
  });
  options.httpServer.on('upgrade', (request, socket, head) => {
    // Node.js lets go of the socket here: a client that resets it would else end the process.
    socket.on('error', () => socket.destroy());
    if (!isGraphQLPath(request.url)) {
      socket.destroy();
      return;
    }
    if (isStopping || connections.size >= limits.connections) {
      if (!isStopping) metrics.refused.inc({ limit: 'connections' });
      socket.end(
        'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
      );
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      if (webSocket.protocol === '') {
        webSocket.close(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable');
        // It answers with its own close frame, or not.
        webSocket.on('error', () => undefined);
        return;
      }
      const connection = new Connection(
        webSocket,
        connectionOptions,
        options.clientAddressOf?.(request.socket.remoteAddress, request.headers['x-forwarded-for']?.toString()),
      );
      connections.add(connection);
      metrics.sockets.inc();
    });
  });

  let sweptAtMs = Date.now();
  /** One timer for all: ten thousand connections would have as many. */
  const sweep = setInterval(() => {
    const now = Date.now();
    // While the process stood still (suspended, or out of breath) nobody could be heard; what has come meanwhile is read after this.
    const standstillMs = now - sweptAtMs - sweepMs;
    sweptAtMs = now;
    if (standstillMs > sweepMs) for (const connection of connections) connection.heardAtMs += standstillMs;
    for (const connection of connections) look(connection, now);
  }, sweepMs);
  sweep.unref();

  const look = (connection: Connection, now: number): void => {
    const { identity } = connection;
    if (!identity) {
      if (now - connection.openedAtMs > limits.initTimeoutMs)
        connection.close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout');
    } else if (identity.expiresAtMs <= now) {
      connection.close(CloseCode.Forbidden, 'The token has expired. Get a new one and connect again.', 'expired');
    } else if (connection.operationCount === 0 && now - connection.usedAtMs > limits.idleMs) {
      connection.close(1000, 'No operation for a long time. Connect again when there is one.');
    }
    const silentMs = now - connection.heardAtMs;
    if (silentMs > 2 * limits.keepAliveMs) connection.terminate();
    else if (silentMs > limits.keepAliveMs && !connection.awaitsPong) connection.ping();
  };

  return {
    async stop(spreadMs) {
      isStopping = true;
      // All at once, they would all come again at once.
      const waiting = [...connections];
      const startedAt = performance.now();
      for (const [index, connection] of waiting.entries()) {
        const due = (index / waiting.length) * spreadMs;
        const early = due - (performance.now() - startedAt);
        if (early > 5) await pause(early);
        connection.close(1001, 'Going away', 'stopping');
      }
      // A client that doesn't answer the close frame must not hold the shutdown up.
      const deadline = performance.now() + closeTimeoutMs;
      while (connections.size > 0 && performance.now() < deadline) await pause(10);
      for (const connection of connections) connection.terminate();
      clearInterval(sweep);
      sockets.close();
    },
  };
}
