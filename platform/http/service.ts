/** An HTTP service as every role with a port serves it: Fastify with /healthz, /readyz and /metrics, and errors as JSON. */
import Fastify, { type FastifyInstance, type RouteHandler } from 'fastify';
import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Registry } from 'prom-client';
import { codeOf, errorCodes, FleetgraphError, messageOf, StartupError } from '../errors.js';
import type { Logger } from '../observability/logger.js';

export interface HttpServiceOptions {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly log: Logger;
  /** What is answered at /metrics. */
  readonly metrics: Pick<Registry, 'contentType' | 'metrics'>;
  /** Rejects with the reason while the service can't do its work. */
  readonly ready: () => Promise<void>;
  /** What an operator should know of a service that can do its work; it is in the body of /readyz. */
  readonly readyDetails?: () => Readonly<Record<string, unknown>>;
  readonly maxBodyBytes?: number;
  /** From the first byte of a request to its last, milliseconds; a slower one is answered with 408. */
  readonly requestTimeoutMs?: number;
  /** JSON of the 408, as the clients of this service read errors. */
  readonly timeoutBody?: string;
}

/** How long a connection may stay without a request once the server stops, milliseconds. */
const unusedMs = 1_000;

/** Makes the server; add routes, then `listen`. */
export function createHttpService(options: HttpServiceOptions): FastifyInstance {
  const requestTimeout = options.requestTimeoutMs ?? 30_000;
  const timeoutBody = options.timeoutBody ?? JSON.stringify(errorBody(requestTimedOut(requestTimeout)));
  const app = Fastify({
    logger: false,
    bodyLimit: options.maxBodyBytes ?? 1_048_576,
    forceCloseConnections: 'idle',
    requestTimeout,
    // Node.js reads the two only here, and looks at them every 30 s if nobody says otherwise.
    http: {
      requestTimeout,
      headersTimeout: requestTimeout,
      connectionsCheckingInterval: Math.min(1_000, requestTimeout / 4),
    },
    clientErrorHandler: (error, socket) => answerClientError(error, socket, timeoutBody),
    routerOptions: { maxParamLength: 256 },
  });
  let closing = false;
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  app.addHook('preClose', async () => {
    closing = true;
    // Opened in advance and not used, as browsers do: to Node.js they are not idle, and the stop would wait for them. A request
    // that is on its way still gets its answer.
    setTimeout(() => {
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    }, unusedMs).unref();
  });
  app.addHook('onSend', (_request, reply, payload, done) => {
    // Else the client keeps a connection that was busy when the stop began, and the stop waits for it to be given up.
    if (closing) void reply.header('connection', 'close');
    done(null, payload);
  });
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/readyz', readiness(options.ready, options.readyDetails));
  app.get('/metrics', async (_request, reply) =>
    reply.type(options.metrics.contentType).send(await options.metrics.metrics()),
  );
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send(
        errorBody(
          new FleetgraphError('NOT_FOUND', `There is nothing at ${request.method} ${request.url.split('?')[0] ?? ''}.`),
        ),
      ),
  );
  app.setErrorHandler((error, request, reply) => {
    const known = toFleetgraphError(error);
    if (known.code === 'INTERNAL_SERVER_ERROR')
      options.log.error({ err: error, method: request.method, url: request.url }, 'request failed');
    return reply.code(errorCodes[known.code].httpStatus).send(errorBody(known));
  });
  return app;
}

/** The error for a request that did not arrive in time. */
export function requestTimedOut(timeoutMs: number): FleetgraphError {
  return new FleetgraphError(
    'BAD_USER_INPUT',
    `The body did not come within ${timeoutMs} ms. Send it at once, or in parts that are smaller.`,
  );
}

/** Answers what is no HTTP request, or came too slowly, and ends the connection. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket, timeoutBody: string): void {
  const isAnswered = (socket as { _httpMessage?: ServerResponse })._httpMessage?.headersSent === true;
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (socket.writable && !isAnswered) {
    const status = statusOfClientError(error.code);
    const message = 'The request is not valid HTTP/1.1. Send it again as one that is.';
    const body =
      status === 408 ? timeoutBody : JSON.stringify(errorBody(new FleetgraphError('BAD_USER_INPUT', message)));
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

/** @param code of an error of Node.js' HTTP parser */
function statusOfClientError(code: string | undefined): 400 | 408 | 431 {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 408;
  return code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
}

/** Answers whether the service can do its work: 200, or 503 with the reason. */
export function readiness(
  ready: () => Promise<void>,
  details: HttpServiceOptions['readyDetails'] = () => ({}),
): RouteHandler {
  return async (_request, reply) => {
    try {
      await ready();
      return { status: 'ready', ...details() };
    } catch (error) {
      return reply.code(503).send({ status: 'not ready', reason: messageOf(error) });
    }
  };
}

/** Listens. @returns the port. @throws StartupError when it is taken. */
export async function listen(
  app: FastifyInstance,
  options: { name: string; host: string; port: number },
): Promise<number> {
  try {
    await app.listen({ host: options.host, port: options.port });
  } catch (error) {
    throw portError(error, options);
  }
  const address = app.server.address();
  return typeof address === 'object' && address !== null ? address.port : options.port;
}

/** What a failed `listen` means for the one who started it: a StartupError where there is advice, else the error itself. */
export function portError(error: unknown, options: { name: string; host: string; port: number }): Error {
  if (codeOf(error) === 'EADDRINUSE')
    return new StartupError(
      `Port ${options.port} on ${options.host}, which ${options.name} needs, is taken. Stop what listens there or set ${options.name.toUpperCase()}_PORT.`,
      { cause: error },
    );
  if (codeOf(error) === 'EACCES')
    return new StartupError(
      `Port ${options.port}, which ${options.name} needs, may not be opened by this user. Set ${options.name.toUpperCase()}_PORT to one above 1023.`,
      { cause: error },
    );
  if (codeOf(error) === 'EADDRNOTAVAIL')
    return new StartupError(`${options.host} is not an address of this machine. Set FLEETGRAPH_HOST to one that is.`, {
      cause: error,
    });
  return error instanceof Error ? error : new Error(String(error));
}

/** The body of an error over plain HTTP. */
export function errorBody(error: FleetgraphError): { error: { code: string; message: string; field?: string } } {
  return {
    error: { code: error.code, message: error.message, ...(error.field === undefined ? {} : { field: error.field }) },
  };
}

function toFleetgraphError(error: unknown): FleetgraphError {
  if (error instanceof FleetgraphError) return error;
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : undefined;
  if (status === 413) return new FleetgraphError('PAYLOAD_TOO_LARGE', messageOf(error), { cause: error });
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new FleetgraphError('BAD_USER_INPUT', messageOf(error), { cause: error });
  return new FleetgraphError(
    'INTERNAL_SERVER_ERROR',
    'Something went wrong inside fleetgraph. The log has the cause.',
    { cause: error },
  );
}
