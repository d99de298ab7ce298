// Program: the four subgraphs of the shop on one port. Answers are kept by the body that asked for them, so that what is
// measured is the gateway. A line on standard input is answered with how many requests came since the last one.
import { graphql } from 'graphql';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { subgraphNames, subgraphSchema } from './shop.js';

const schemas = new Map(subgraphNames.map((name) => [`/${name}`, subgraphSchema(name)]));
const kept = new Map<string, Buffer>();
let requests = 0;

async function answer(path: string, body: string): Promise<Buffer> {
  const known = kept.get(path + body);
  if (known) return known;
  const schema = schemas.get(path);
  if (!schema) throw new Error(`There is no subgraph at ${path}.`);
  const { query, variables, operationName } = JSON.parse(body) as {
    query: string;
    variables?: Record<string, unknown>;
    operationName?: string;
  };
  const result = await graphql({
    schema,
    source: query,
    ...(variables ? { variableValues: variables } : {}),
    ...(operationName === undefined ? {} : { operationName }),
  });
  const made = Buffer.from(JSON.stringify(result));
  kept.set(path + body, made);
  return made;
}

// Connections outlive what is between two measurements.
const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    requests += 1;
    void answer(request.url ?? '', Buffer.concat(chunks).toString()).then((bytes) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length }).end(bytes);
    });
  });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
createInterface({ input: process.stdin }).on('line', () => {
  console.log(JSON.stringify({ requests }));
  requests = 0;
});
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` } }));
