/** The edge as clients meet it: the real Traefik before a real gateway, or before backends that tell what reached them. */
import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { startGateway, type GatewayWorld } from '../gateway/gateway-world.js';
import type { TestIssuer } from '../world/identity.js';
import { startTraefik, type Traefik, type TraefikOptions } from '../world/traefik/traefik.js';

/** A request as a backend got it. */
export interface Arrived {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values as they came, one after the other. */
  readonly rawHeaders: readonly string[];
}

export interface Backend extends AsyncDisposable {
  readonly url: string;
  /** Everything that arrived but the health checks. */
  readonly arrived: Arrived[];
  /** What it does with a request; answers 200 with `backend <name>` unless set. Health checks and ForwardAuth don't come here. */
  handle: (server: { readonly arrived: Arrived } & Exchange) => void;
  /** Whether /readyz says 200. */
  ready: boolean;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface EdgeWorld extends AsyncDisposable {
  readonly gateway: GatewayWorld;
  readonly traefik: Traefik;
  readonly url: string;
}

/** Traefik before one real gateway; the bridges are whatever is given. */
export async function startEdge(
  options: Partial<TraefikOptions> & { readonly issuer?: TestIssuer } = {},
): Promise<EdgeWorld> {
  const { issuer, ...rest } = options;
  const gateway = await startGateway(issuer ? { issuer } : {});
  try {
    const traefik = await startTraefik({ gateways: [gateway.url], ...rest });
    return {
      gateway,
      traefik,
      url: traefik.url,
      async [Symbol.asyncDispose]() {
        await traefik[Symbol.asyncDispose]();
        await gateway[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await gateway[Symbol.asyncDispose]();
    throw error;
  }
}

/** A backend that tells what reached it. To ForwardAuth it says that the token is the client: `Bearer acme/alice`. */
export async function startBackend(name = 'echo'): Promise<Backend> {
  const arrived: Arrived[] = [];
  const server: Server = createServer((request, response) => {
    if (request.url === '/readyz') {
      response.writeHead(backend.ready ? 200 : 503).end();
      return;
    }
    const { method = '', url = '', headers, rawHeaders } = request;
    if (url === '/auth/verify') {
      verify(headers.authorization, response);
      return;
    }
    const seen = { method, url, headers, rawHeaders };
    arrived.push(seen);
    request.resume();
    backend.handle({ arrived: seen, request, response });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const backend: Backend = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrived,
    ready: true,
    handle({ request, response }) {
      request.on('end', () => response.end(`backend ${name}`));
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return backend;
}

function verify(authorization: string | undefined, response: Exchange['response']): void {
  const [, tenant, subject] = /^Bearer (\w+)\/(\w+)$/.exec(authorization ?? '') ?? [];
  if (tenant === undefined || subject === undefined) response.writeHead(401).end();
  else
    response
      .writeHead(204, {
        'x-auth-tenant': tenant,
        'x-auth-subject': subject,
        'x-auth-scope': 'device:read',
        'x-auth-client': `${tenant}/${subject}`,
      })
      .end();
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A request whose path and headers go out exactly as given, which `fetch` does not do. */
export async function send(
  root: string,
  path: string,
  options: {
    method?: string;
    headers?: Readonly<Record<string, string>>;
    /** Names and values one after the other, as they are: names may repeat. */
    rawHeaders?: readonly string[];
    body?: string | Buffer;
  } = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(root);
  const headers = [...Object.entries(options.headers ?? {}).flat(), ...(options.rawHeaders ?? [])];
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        hostname,
        port,
        path,
        agent: false,
        method: options.method ?? 'GET',
        headers: ['host', `${hostname}:${port}`, ...headers],
      },
      (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: '' });
    });
    request.end(options.body);
  });
}

/** Sends bytes as they are and gives everything that comes back until the other side closes or answers in full. */
export async function sendBytes(root: string, bytes: string, waitMs = 1_000): Promise<string> {
  const { hostname, port } = new URL(root);
  const socket = connect(Number(port), hostname);
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
  socket.on('error', () => undefined);
  socket.setTimeout(waitMs, () => socket.destroy());
  socket.write(bytes);
  await once(socket, 'close');
  return received;
}
