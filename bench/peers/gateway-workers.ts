// Program: `fleetgraph gateway` for the supergraph in the file that is its first argument, as so many processes as its second one says.
import { createStandaloneWorkers } from '../../cli/gateway-workers.js';
import { createStandaloneGateway } from '../../cli/standalone-gateway.js';
import { readConfig } from '../../platform/config/config.js';
import { createLogger } from '../../platform/observability/logger.js';
import { createMetrics } from '../../platform/observability/metrics.js';
import { startTracing } from '../../platform/observability/tracing.js';

const [supergraph = '', workers = '1'] = process.argv.slice(2);
const config = readConfig({
  NODE_ENV: 'production',
  GATEWAY_PORT: '0',
  GATEWAY_MAX_COST: '100000000',
  GATEWAY_WORKERS: workers,
  LOG_LEVEL: 'warn',
});
// As the command has it, and each worker.
await startTracing(config.tracing);
const base = {
  config,
  log: createLogger({ level: config.logLevel, pretty: false }),
  metrics: createMetrics({ processMetrics: true }),
};
const graph = { supergraph, subgraphs: [] };
const role =
  config.gatewayWorkers > 1 ? createStandaloneWorkers(base, graph) : createStandaloneGateway({ ...base, graph }).role;
await role.start();
process.once('SIGTERM', () => {
  void role.stop().then(() => process.exit(0));
});
console.log(JSON.stringify({ hello: { url: `http://127.0.0.1:${role.port()}/graphql` } }));
