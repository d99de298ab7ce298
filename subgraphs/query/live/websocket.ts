/**
 * GraphQL over WebSocket (graphql-ws, subprotocol graphql-transport-ws) on the port and path of the HTTP endpoint.
 * Each operation is authenticated by its own token (`extensions.authorization` of the subscribe message) or else by that of
 * the connection (`authorization` of connection_init), and ends when that token does. An operation that fails ends alone,
 * with one `error` message and no `complete`; only a bad or expired token of the connection closes the socket (4403, after
 * which clients get a new token and come again). A shutdown closes with 1001, after which clients resume from their cursor.
 */
import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import {
  createSourceEventStream,
  execute,
  GraphQLError,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
  type ExecutionArgs,
  type ExecutionResult,
  type FormattedExecutionResult,
  type GraphQLFormattedError,
  type GraphQLSchema,
} from 'graphql';
import { CloseCode, type SubscribePayload } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer, type WebSocket } from 'ws';
import { FleetgraphError, messageOf } from '../../../platform/errors.js';
import type { RequestContext } from '../../../platform/graphql/context.js';
import { graphqlErrorFormatter, presentable, toGraphQLError } from '../../../platform/graphql/errors.js';
import { streamRequestOf, type StreamRequest } from '../../../platform/graphql/stream-contract.js';
import type { Identity } from '../../../platform/identity/identity.js';
import { bearerToken, type VerifyToken } from '../../../platform/identity/verify-token.js';
import type { Logger } from '../../../platform/observability/logger.js';
import type { QueryMetrics } from '../query-metrics.js';
import { at, expired, untilExpiry } from './token-expiry.js';

export interface WebSocketOptions {
  readonly server: Server;
  readonly path: string;
  readonly schema: GraphQLSchema;
  readonly verifyToken: VerifyToken;
  /** Makes the context of one operation. */
  readonly context: (base: RequestContext) => RequestContext;
  /** Whether the schema is hidden. */
  readonly production: boolean;
  readonly log: Logger;
  readonly metrics: QueryMetrics;
}

export interface WebSocketEndpoint {
  /** Closes every socket with 1001 and takes no more. */
  stop(): Promise<void>;
}

/** Longest message that a client may send, in bytes. */
const maxMessageBytes = 262_144;

/** The close of a connection whose token has ended says so for all of its operations; none says it before. */
const closingMs = 1_000;

/** How long a client has to answer the close frame of a shutdown. */
const closeTimeoutMs = 2_000;

interface OperationContext extends RequestContext {
  readonly stream: StreamRequest | undefined;
  /** When its token ends it, epoch milliseconds. */
  readonly endsAtMs: number;
}

export function serveWebSocket(options: WebSocketOptions): WebSocketEndpoint {
  const { schema, verifyToken, log, metrics } = options;
  const format = graphqlErrorFormatter(log);
  const rules = options.production ? [...specifiedRules, NoSchemaIntrospectionCustomRule] : specifiedRules;
  // Not bound to the server: it would report a port that is taken as a defect of the WebSocket server, too.
  const sockets = new WebSocketServer({ noServer: true, path: options.path, maxPayload: maxMessageBytes });
  options.server.on('upgrade', (request, socket, head) => {
    if (sockets.shouldHandle(request) === true) {
      sockets.handleUpgrade(request, socket, head, (webSocket) => sockets.emit('connection', webSocket, request));
    } else socket.destroy();
  });
  const identities = new WeakMap<WebSocket, Identity>();

  const endpoint = useServer<Record<string, unknown>>(
    {
      schema,
      async onConnect({ connectionParams, extra: { socket } }) {
        const authorization = connectionParams?.['authorization'];
        if (authorization === undefined) return true;
        try {
          const identity = await identify(authorization, verifyToken);
          identities.set(socket, identity);
          const cancel = at(identity.expiresAtMs, () => socket.close(CloseCode.Forbidden, 'The token has expired.'));
          socket.once('close', cancel);
          return true;
        } catch (error) {
          const known = presentable(error);
          if (known?.code === 'UNAVAILABLE') socket.close(1013, closeReason(known.message));
          else socket.close(CloseCode.Forbidden, closeReason(known?.message ?? 'The token could not be verified.'));
          return false;
        }
      },
      async onSubscribe({ extra: { socket } }, _id, payload) {
        try {
          return await prepare(payload, identities.get(socket));
        } catch (error) {
          return [asGraphQLError(error)];
        }
      },
      subscribe: async (args) => {
        const source = await createSourceEventStream(args);
        if (!(Symbol.asyncIterator in source)) return failed(source);
        const { stream, endsAtMs } = args.contextValue as OperationContext;
        return untilExpiry(executed(source, args, stream !== undefined), endsAtMs);
      },
      onNext: (_context, _id, _payload, _args, { data, errors, extensions }): FormattedExecutionResult => ({
        ...(data === undefined ? {} : { data }),
        ...(errors === undefined ? {} : { errors: errors.map((error) => format(error.toJSON(), error)) }),
        ...(extensions === undefined ? {} : { extensions }),
      }),
      onError: (_context, _id, _payload, errors) => errors.map((error) => formatFinal(error)),
    },
    sockets,
  );
  // useServer has its own listener; this one only counts.
  sockets.on('connection', (socket: WebSocket) => {
    metrics.sockets.inc();
    socket.once('close', () => metrics.sockets.dec());
  });

  /** Everything that must hold before an operation runs. */
  async function prepare(
    payload: SubscribePayload,
    ofConnection: Identity | undefined,
  ): Promise<ExecutionArgs | readonly GraphQLError[]> {
    const extension = (name: string): string | undefined => {
      const value = payload.extensions?.[name];
      return typeof value === 'string' && value.length <= 512 ? value : undefined;
    };
    const own = payload.extensions?.['authorization'];
    const identity = own === undefined ? ofConnection : await identify(own, verifyToken);
    if (identity === undefined)
      throw new FleetgraphError(
        'UNAUTHENTICATED',
        'Send "authorization": "Bearer <token>" in the payload of connection_init, or in "extensions" of the operation.',
      );
    if (identity.expiresAtMs <= Date.now()) throw expired();
    const document = parse(payload.query);
    const faults = validate(schema, document, rules);
    if (faults.length > 0) return faults;
    return {
      schema,
      document,
      operationName: payload.operationName,
      variableValues: payload.variables,
      contextValue: {
        ...options.context({
          identity,
          consistencyToken: extension('consistencyToken'),
          traceparent: extension('traceparent'),
          // Nothing is changed from here.
          clientAddress: undefined,
          correlationId: extension('correlationId') ?? randomUUID(),
        }),
        stream: streamRequestOf(payload.extensions),
        endsAtMs: own === undefined ? identity.expiresAtMs + closingMs : identity.expiresAtMs,
      } satisfies OperationContext,
    };
  }

  /** The error that an operation ends with, as the client sees it. */
  function formatFinal(error: GraphQLError): GraphQLFormattedError {
    const original = rootCause(error);
    const known = presentable(original);
    if (known) return { message: known.message, extensions: toGraphQLError(known).toJSON().extensions ?? {} };
    if (original instanceof GraphQLError) {
      // Syntax and validation: the operation is at fault, and says so.
      const { locations } = original.toJSON();
      return { message: original.message, ...(locations ? { locations } : {}), extensions: { code: 'BAD_USER_INPUT' } };
    }
    return format({ message: messageOf(original) }, original);
  }

  return {
    async stop() {
      // A client that doesn't answer the close frame must not hold the shutdown up.
      const impatience = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
      }, closeTimeoutMs);
      await endpoint.dispose();
      clearTimeout(impatience);
    },
  };
}

async function identify(authorization: unknown, verifyToken: VerifyToken): Promise<Identity> {
  const token = bearerToken(typeof authorization === 'string' ? authorization : undefined);
  if (token === undefined)
    throw new FleetgraphError('UNAUTHENTICATED', 'The "authorization" that was sent is not "Bearer <token>".');
  return verifyToken(token);
}

/** The payload of each item of a source; marks are passed by. With `places`, each says where in the stream it is. */
function executed(
  source: AsyncIterable<unknown>,
  args: ExecutionArgs,
  places: boolean,
): AsyncGenerator<ExecutionResult, void, undefined> {
  const items = source[Symbol.asyncIterator]() as AsyncIterator<{ mark?: unknown; place?: unknown }, void, undefined>;
  const resultOf = async (item: { mark?: unknown; place?: unknown }): Promise<ExecutionResult> => {
    if (item.mark !== undefined) return { data: null, extensions: { stream: { mark: item.mark } } };
    const result = await execute({ ...args, rootValue: item });
    return places ? { ...result, extensions: { ...result.extensions, stream: item.place } } : result;
  };
  const close = async (): Promise<void> => {
    await items.return?.();
  };
  return {
    async next() {
      const item = await items.next();
      return item.done === true ? { done: true, value: undefined } : { done: false, value: await resultOf(item.value) };
    },
    async return() {
      await close();
      return { done: true, value: undefined };
    },
    async throw(error) {
      await close();
      throw error;
    },
    [Symbol.asyncDispose]: close,
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** A subscription whose source could not be made: one `error` message, rather than a payload with errors and `complete`. */
// eslint-disable-next-line require-yield -- it has nothing to give
async function* failed({ errors }: ExecutionResult): AsyncGenerator<never, void, undefined> {
  throw errors?.[0] ?? new Error('A subscription has neither a source nor an error.');
}

function rootCause(error: unknown): unknown {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError) cause = cause.originalError;
  return cause;
}

function asGraphQLError(error: unknown): GraphQLError {
  if (error instanceof GraphQLError) return error;
  return new GraphQLError(messageOf(error), {
    originalError: error instanceof Error ? error : new Error(String(error)),
  });
}

/** A close frame has room for 123 bytes (RFC 6455, 5.5.1). */
function closeReason(text: string): string {
  return Buffer.from(text)
    .subarray(0, 123)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}
