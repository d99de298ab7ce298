// Program: bare `ws` that broadcasts each line on standard input to every socket; a line without a brace is answered with its
// memory and processor time.
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
await new Promise((resolve) => server.once('listening', resolve));
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line.startsWith('{')) {
    for (const socket of server.clients) socket.send(line);
    return;
  }
  globalThis.gc?.();
  console.log(JSON.stringify({ rss: process.memoryUsage().rss, ...process.cpuUsage() }));
});
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` } }));
