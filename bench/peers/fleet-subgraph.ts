// Program: a subgraph with one answer, whatever it is asked: it costs as little as one can.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const answer = JSON.stringify({ data: { fleet: { devices: 2, online: 1 } } });
const server = createServer((request, response) => {
  request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(answer));
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ hello: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql` } }));
});
process.once('SIGTERM', () => process.exit(0));
