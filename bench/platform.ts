// Program: the platform in one process, as `npm start` runs it, or the roles in the argument (`gateway,query`), on free
// ports. Says where it is, stops on SIGTERM.
import { startFleetgraph } from '../cli/composition.js';
import { readConfig, roleNames, type RoleName } from '../platform/config/config.js';
import { allScopes } from '../platform/identity/identity.js';
import { createLogger } from '../platform/observability/logger.js';
import { startTracing } from '../platform/observability/tracing.js';

const freePorts: Record<string, string> = {};
for (const name of ['GATEWAY', 'BRIDGE', 'QUERY', 'ACTIONS', 'DEVICE', 'OPERATIONS', 'MQTT'])
  freePorts[`${name}_PORT`] = '0';
const config = readConfig({ ...process.env, ...freePorts });
await startTracing();
const roles = process.argv[2]?.split(',').filter((name) => roleNames.some((role) => role === name)) as
  RoleName[] | undefined;
const fleetgraph = await startFleetgraph({
  config,
  log: createLogger({ level: config.logLevel, pretty: false }),
  ...(roles ? { roles } : {}),
});
const token = await fleetgraph.issuer?.issue({
  tenant: 'bench',
  subject: 'bench',
  scopes: allScopes,
  lifetimeSeconds: 86_400,
});
process.once('SIGTERM', () => {
  void fleetgraph.stop().then(() => process.exit(0));
});
console.log(JSON.stringify({ hello: { ...fleetgraph.addresses, databaseUrl: fleetgraph.databaseUrl, token } }));
