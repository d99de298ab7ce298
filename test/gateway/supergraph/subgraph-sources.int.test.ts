/** What becomes of a fetch when its subgraph hangs, answers nonsense, or is not there. */
import type { GraphQLDataSourceProcessOptions } from '@apollo/gateway';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { afterEach, expect, test } from 'vitest';
import { createGatewayMetrics } from '../../../gateway/gateway-metrics.js';
import type { GatewayContext } from '../../../gateway/request-context.js';
import { createSubgraphSources } from '../../../gateway/supergraph/subgraph-sources.js';
import { silentLog } from '../../world/database.js';
import { within } from '../../world/eventually.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
}

function fetchFrom(url: string, path: readonly (string | number)[] = []) {
  const sources = createSubgraphSources({
    ...{ urls: { device: () => url }, metrics: createGatewayMetrics(new Registry()), log: silentLog, timeoutMs: 150 },
  });
  const options = {
    kind: 'incoming operation',
    request: { query: '{ device(id: "d") { id } }', variables: {} },
    incomingRequestContext: {},
    context: { forwarded: { authorization: 'Bearer t', 'x-correlation-id': 'c' } } satisfies GatewayContext,
    pathInIncomingRequest: path,
  } as unknown as GraphQLDataSourceProcessOptions<GatewayContext>;
  return within(sources.of('device').process(options as GraphQLDataSourceProcessOptions), 5_000, 'the fetch');
}

const unavailable = {
  message: 'The subgraph "device" does not answer. The same request may be retried.',
  extensions: { code: 'UNAVAILABLE' },
};

test('a good answer is passed on, and asked for with what must be forwarded', async () => {
  let headers: unknown;
  const url = await serve((request, response) => {
    headers = request.headers;
    response.setHeader('content-type', 'application/json').end('{"data":{"device":{"id":"d"}}}');
  });
  expect((await fetchFrom(url)).data).toEqual({ device: { id: 'd' } });
  expect(headers).toMatchObject({ authorization: 'Bearer t', 'x-correlation-id': 'c' });
});

test('a subgraph that never answers is given up', async () => {
  await expect(fetchFrom(await serve(() => undefined))).rejects.toMatchObject(unavailable);
});

test.each<[string, RequestListener]>([
  ['an HTML page', (_request, response) => void response.setHeader('content-type', 'text/html').end('<h1>hi</h1>')],
  ['no JSON', (_request, response) => void response.setHeader('content-type', 'application/json').end('{')],
  ['a status of 500', (_request, response) => void response.writeHead(500).end('oops')],
  [
    'a status of 502 of a proxy',
    (_request, response) => void response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>bad gateway</h1>'),
  ],
  ['the end of the connection', (request) => request.socket.destroy()],
])('%s is UNAVAILABLE', async (_what, listener) => {
  await expect(fetchFrom(await serve(listener))).rejects.toMatchObject(unavailable);
});

test('nobody there is UNAVAILABLE', async () => {
  await expect(fetchFrom('http://127.0.0.1:1/graphql')).rejects.toMatchObject(unavailable);
});

test('the place of the fetch is the path of the error, up to the first list', async () => {
  const url = 'http://127.0.0.1:1/graphql';
  await expect(fetchFrom(url, ['device', 'type'])).rejects.toMatchObject({ path: ['device', 'type'] });
  await expect(fetchFrom(url, ['devices', 'edges', '@', 'node'])).rejects.toMatchObject({ path: ['devices', 'edges'] });
  await expect(fetchFrom(url)).rejects.toMatchObject({ path: undefined });
});

test('a token that the subgraph refuses stays UNAUTHENTICATED', async () => {
  const url = await serve(
    (_request, response) => void response.writeHead(401, { 'content-type': 'application/json' }).end('{}'),
  );
  await expect(fetchFrom(url)).rejects.toMatchObject({ extensions: { code: 'UNAUTHENTICATED' } });
});
