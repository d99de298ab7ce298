/**
 * A gateway in a process of its own: `gateway-process.ts <data directory of the issuer> <url of device> <of actions> <of query>`.
 * Prints its port once it listens.
 */
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createGatewayRole } from '../../gateway/gateway.js';
import { readConfig } from '../../platform/config/config.js';
import { openDevelopmentIssuer } from '../../platform/identity/development-issuer.js';
import { createTokenVerifier } from '../../platform/identity/verify-token.js';

const [dataDirectory = '', device = '', actions = '', query = ''] = process.argv.slice(2);
const names = { issuer: 'https://issuer.test', audience: 'fleetgraph' };
const issuer = await openDevelopmentIssuer({ dataDirectory, ...names });
const gateway = createGatewayRole({
  config: readConfig({ NODE_ENV: 'test', GATEWAY_PORT: '0' }),
  log: pino({ level: 'silent' }),
  metrics: new Registry(),
  verifyToken: createTokenVerifier({ keys: issuer.keys, ...names }),
  subgraphs: { device: () => device, actions: () => actions, query: () => query },
});
await gateway.start();
process.stdout.write(`${gateway.port()}\n`);
