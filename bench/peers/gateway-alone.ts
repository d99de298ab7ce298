// Program: the gateway alone, in front of the subgraphs whose addresses are its arguments (device, actions, query). Whatever
// token it is given is good. A line on standard input is answered with its memory, after a collection of garbage.
import { createInterface } from 'node:readline';
import { Registry } from 'prom-client';
import { createGatewayRole } from '../../gateway/gateway.js';
import { readConfig } from '../../platform/config/config.js';
import { allScopes } from '../../platform/identity/identity.js';
import { createLogger } from '../../platform/observability/logger.js';

const [device = '', actions = '', query = ''] = process.argv.slice(2);
// As the verifier gives it to tokens that grant the same.
const scopes = new Set(allScopes);
const gateway = createGatewayRole({
  config: readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0' }),
  log: createLogger({ level: 'warn', pretty: false }),
  metrics: new Registry(),
  verifyToken: async () => ({
    tenant: 'bench',
    subject: 'bench',
    scopes,
    expiresAtMs: Date.now() + 86_400_000,
  }),
  subgraphs: { device: () => device, actions: () => actions, query: () => query },
});
await gateway.start();
createInterface({ input: process.stdin }).on('line', () => {
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  console.log(JSON.stringify({ rss, heapUsed, external, ...process.cpuUsage() }));
});
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: { url: `http://127.0.0.1:${gateway.port()}` } }));
