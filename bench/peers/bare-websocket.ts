// Program: bare `ws` that broadcasts one frame to every socket for each line on standard input.
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
await new Promise((resolve) => server.once('listening', resolve));
createInterface({ input: process.stdin }).on('line', (line) => {
  for (const socket of server.clients) socket.send(line);
});
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` } }));
