// Program: the gateway's executor behind the plainest HTTP server, for the supergraph in the file that is its first argument.
// "apart" as the second one: requests that are the same at the same time are executed and fetched each for itself.
import { parse } from 'graphql';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { createExecutor, type PreparedOperation } from '../../gateway/execution/executor.js';
import { createSubgraphs } from '../../gateway/execution/subgraphs/subgraphs.js';
import { createGatewayMetrics } from '../../gateway/gateway-metrics.js';
import { buildSupergraph } from '../../gateway/supergraph/supergraph.js';
import { answerOf } from '../../gateway/execution/response/answer.js';
import { createLogger } from '../../platform/observability/logger.js';

const [file = '', mode] = process.argv.slice(2);
const sdl = readFileSync(file, 'utf8');
const urls = [...sdl.matchAll(/@join__graph\(name: "(\w+)", url: "([^"]+)"\)/g)].map(([, name = '', url = '']) => [
  name,
  () => url,
]);
const supergraph = buildSupergraph(sdl);
const executor = createExecutor({
  supergraph: () => supergraph,
  subgraphs: createSubgraphs({
    urls: Object.fromEntries(urls) as Record<string, () => string>,
    metrics: createGatewayMetrics(new Registry()),
    log: createLogger({ level: 'warn', pretty: false }),
    shares: mode !== 'apart',
  }),
  formatError: (error) => error,
});
const known = new Map<string, PreparedOperation>();
const prepared = (query: string): PreparedOperation => {
  const found = known.get(query) ?? executor.prepare(parse(query), undefined);
  known.set(query, found);
  return found;
};
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { query, variables = {} } = JSON.parse(Buffer.concat(chunks).toString()) as {
      query: string;
      variables?: Record<string, unknown>;
    };
    void executor.execute(prepared(query), { variables, context: { forwarded: {} } }).then(({ body, errors }) => {
      const bytes = answerOf(body, errors).body;
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length }).end(bytes);
    });
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql` } }));
