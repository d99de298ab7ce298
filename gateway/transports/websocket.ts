/**
 * The graph over WebSocket: subprotocol graphql-transport-ws on the path of HTTP. A connection is authenticated once, by the
 * token in its `connection_init`, and ends with that token (4403: get a new one and come again). What goes wrong with an
 * operation ends that operation with one `error`, and no other. A stop closes with 1001: clients come again and resume.
 * Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 */
import type { ApolloServer } from '@apollo/server';
import {
  GraphQLError,
  getOperationAST,
  parse,
  specifiedRules,
  validate,
  type ExecutionArgs,
  type ExecutionResult,
  type FormattedExecutionResult,
  type GraphQLFormattedError,
  type ValidationRule,
} from 'graphql';
import { CloseCode, type SubscribePayload } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import type { Server } from 'node:http';
import { WebSocketServer, type WebSocket } from 'ws';
import { FleetgraphError } from '../../platform/errors.js';
import { graphqlErrorFormatter, presentable } from '../../platform/graphql/errors.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import { cancellable } from '../../platform/lifecycle/cancellable.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { GatewayMetrics } from '../gateway-metrics.js';
import { createContext, type GatewayContext } from '../request-context.js';
import type { SubscriptionEngine } from '../subscriptions/engine.js';
import type { Supergraph } from '../supergraph/supergraph.js';

export interface WebSocketTransport {
  /** Refuses new connections, closes the open ones with 1001. */
  stop(): Promise<void>;
}

export interface WebSocketTransportOptions {
  readonly httpServer: Server;
  /** Executes queries and mutations, as over HTTP. */
  readonly server: ApolloServer<GatewayContext>;
  readonly engine: SubscriptionEngine;
  readonly supergraph: () => Supergraph;
  readonly verifyToken: VerifyToken;
  readonly production: boolean;
  readonly log: Logger;
  readonly metrics: GatewayMetrics;
  /** Beside those of the GraphQL specification. */
  readonly validationRules: readonly ValidationRule[];
  readonly maxTokens: number;
}

const connectionInitWaitTimeoutMs = 5_000;
const closeTimeoutMs = 3_000;
const maxMessageBytes = 1_048_576;
/** Longest delay that a timer can hold. */
const maxTimerMs = 2 ** 31 - 1;

export function serveWebSocket(options: WebSocketTransportOptions): WebSocketTransport {
  const { server, engine, verifyToken, log, metrics } = options;
  // Not bound to the server: it would report a port that is taken as a defect of the WebSocket server, too.
  const sockets = new WebSocketServer({ noServer: true, path: '/graphql', maxPayload: maxMessageBytes });
  options.httpServer.on('upgrade', (request, socket, head) => {
    if (sockets.shouldHandle(request) === true) {
      sockets.handleUpgrade(request, socket, head, (webSocket) => sockets.emit('connection', webSocket, request));
    } else socket.destroy();
  });
  const format = graphqlErrorFormatter(log);
  const authorizations = new WeakMap<WebSocket, string>();

  const transport = useServer<Record<string, unknown>>(
    {
      connectionInitWaitTimeout: connectionInitWaitTimeoutMs,
      async onConnect({ connectionParams, extra: { socket } }) {
        const authorization = authorizationOf(connectionParams);
        try {
          const { identity } = await createContext({ authorization }, verifyToken);
          authorizations.set(socket, authorization ?? '');
          closeAtExpiry(socket, identity.expiresAtMs);
          return true;
        } catch (error) {
          const known = presentable(error);
          socket.close(
            known?.code === 'UNAVAILABLE' ? 1013 : CloseCode.Forbidden,
            closeReason(known?.message ?? 'The token could not be verified.'),
          );
          return false;
        }
      },
      async onSubscribe({ extra: { socket } }, _id, payload) {
        try {
          return await prepare(payload, authorizations.get(socket));
        } catch (error) {
          return [asGraphQLError(error)];
        }
      },
      execute: async (args) => executeOnce(args),
      // The payloads are formatted results already; graphql-ws types them as results with errors of graphql-js.
      subscribe: (args) =>
        cancellable((signal) => counted(payloadsOf(args), signal)) as AsyncGenerator<ExecutionResult, void, undefined>,
      onNext: (_context, _id, _payload, _args, { data, errors, extensions }): FormattedExecutionResult => ({
        ...(data === undefined ? {} : { data }),
        ...(errors === undefined ? {} : { errors: errors.map((error) => format(toFormatted(error), error)) }),
        ...(extensions === undefined ? {} : { extensions }),
      }),
      onError: (_context, _id, _payload, errors) => errors.map((error) => presentFinal(error)),
    },
    sockets,
  );
  // useServer has a listener of its own; this one only counts.
  sockets.on('connection', (socket: WebSocket) => {
    metrics.sockets.inc();
    socket.once('close', () => metrics.sockets.dec());
  });

  /** Everything that must hold before an operation runs. */
  const prepare = async (
    payload: SubscribePayload,
    ofConnection: string | undefined,
  ): Promise<ExecutionArgs | readonly GraphQLError[]> => {
    const extension = (name: string): string | undefined => {
      const value = payload.extensions?.[name];
      return typeof value === 'string' && value.length <= 512 ? value : undefined;
    };
    const contextValue = await createContext(
      {
        authorization: ofConnection,
        consistencyToken: extension('consistencyToken'),
        traceparent: extension('traceparent'),
        correlationId: extension('correlationId'),
      },
      verifyToken,
    );
    const document = parse(payload.query, { maxLexicalTokens: options.maxTokens });
    const { apiSchema } = options.supergraph();
    const faults = validate(apiSchema, document, [...specifiedRules, ...options.validationRules], { maxErrors: 20 });
    if (faults.length > 0) return faults;
    const operation = getOperationAST(document, payload.operationName);
    if (!operation)
      throw new FleetgraphError(
        'BAD_USER_INPUT',
        'The document has no operation of that name, or several and none is named.',
      );
    return {
      schema: apiSchema,
      document,
      operationName: payload.operationName,
      variableValues: payload.variables,
      contextValue,
    };
  };

  /** A query or mutation, through the pipeline of HTTP. */
  const executeOnce = async ({ document, operationName, variableValues, contextValue }: ExecutionArgs) => {
    const response = await server.executeOperation(
      {
        query: document,
        variables: { ...variableValues },
        ...(typeof operationName === 'string' ? { operationName } : {}),
      },
      { contextValue: contextValue as GatewayContext },
    );
    if (response.body.kind !== 'single')
      throw new FleetgraphError('BAD_USER_INPUT', '@defer is not supported over WebSocket.');
    return response.body.singleResult as never;
  };

  const payloadsOf = ({ document, operationName, variableValues, contextValue }: ExecutionArgs) =>
    engine.subscribe({
      document,
      operationName: operationName ?? undefined,
      variables: variableValues ?? {},
      context: contextValue as GatewayContext,
    });

  async function* counted<T>(
    payloads: AsyncGenerator<T, void, undefined>,
    signal: AbortSignal,
  ): AsyncGenerator<T, void, undefined> {
    signal.addEventListener('abort', () => void payloads.return(), { once: true });
    metrics.subscriptions.inc();
    try {
      for await (const payload of payloads) {
        metrics.events.inc();
        yield payload;
      }
    } finally {
      metrics.subscriptions.dec();
    }
  }

  /** The error that an operation ends with, as the client sees it. */
  const presentFinal = (error: GraphQLError): GraphQLFormattedError => {
    const original = error.originalError ?? error;
    if (original instanceof GraphQLError && original.extensions['code'] === undefined) {
      // Syntax and validation: the operation is at fault, and says so.
      const { locations } = original.toJSON();
      return { message: original.message, ...(locations ? { locations } : {}), extensions: { code: 'BAD_USER_INPUT' } };
    }
    return format(error.toJSON(), original);
  };

  return {
    async stop() {
      // A client that doesn't answer the close frame must not hold the shutdown up.
      const impatience = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
      }, closeTimeoutMs);
      await transport.dispose();
      clearTimeout(impatience);
    },
  };
}

/** The token in `connection_init`: `authorization` (or `Authorization`) with "Bearer …", or `token` without. */
function authorizationOf(parameters: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const authorization = parameters?.['authorization'] ?? parameters?.['Authorization'];
  if (typeof authorization === 'string') return authorization;
  const token = parameters?.['token'];
  return typeof token === 'string' ? `Bearer ${token}` : undefined;
}

function closeAtExpiry(socket: WebSocket, expiresAtMs: number): void {
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    const leftMs = expiresAtMs - Date.now();
    if (leftMs <= 0) socket.close(CloseCode.Forbidden, 'The token has expired. Get a new one and connect again.');
    else timer = setTimeout(arm, Math.min(leftMs, maxTimerMs));
  };
  arm();
  socket.once('close', () => clearTimeout(timer));
}

/** Errors of an event come as plain objects, those of an operation executed here as GraphQLError. */
function toFormatted(error: GraphQLError | GraphQLFormattedError): GraphQLFormattedError {
  return error instanceof GraphQLError ? error.toJSON() : error;
}

function asGraphQLError(error: unknown): GraphQLError {
  return error instanceof GraphQLError
    ? error
    : new GraphQLError(error instanceof Error ? error.message : String(error), {
        originalError: error instanceof Error ? error : undefined,
      });
}

/** A close frame holds 123 bytes of reason (RFC 6455, section 5.5). */
function closeReason(message: string): string {
  let reason = message;
  while (Buffer.byteLength(reason) > 123) reason = reason.slice(0, -1);
  return reason;
}
