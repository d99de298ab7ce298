/** Program of one worker of the gateway. The process that forks it tells it what to run (gateway-workers.ts). */
import { metricsOf } from '../platform/cluster/summed-metrics.js';
import { runWorker } from '../platform/cluster/worker-process.js';
import { createLogger } from '../platform/observability/logger.js';
import { createMetrics } from '../platform/observability/metrics.js';
import { startTracing } from '../platform/observability/tracing.js';
import { openIdentity } from './open-identity.js';
import type { GatewayTask } from './gateway-workers.js';
import { createOwnGateway } from './own-gateway.js';

runWorker<GatewayTask>(async ({ number, task: { config, graph } }, peers) => {
  const { tracing: settings, logLevel: level, mode } = config;
  const tracing = await startTracing({ ...settings, instance: `${settings.instance}-gateway-${number}` });
  const pretty = process.stdout.isTTY && mode !== 'production';
  const log = createLogger({ level, pretty, bindings: { worker: number } }).child({ role: 'gateway' });
  const metrics = createMetrics({ processMetrics: true });
  const base = { config, log, metrics, peers };
  const { role, reload } =
    'any' in graph
      ? (await import('./standalone-gateway.js')).createStandaloneGateway({ ...base, graph: graph.any })
      : {
          role: await createOwnGateway({
            ...base,
            ...(await openIdentity(config)),
            subgraphs: Object.fromEntries(Object.entries(graph.own).map(([name, url]) => [name, () => url])),
          }),
          reload: () => undefined,
        };
  await role.start();
  return {
    port: role.port(),
    ready: () => role.ready(),
    metrics: () => metricsOf(metrics),
    reload,
    async stop() {
      await role.stop();
      await tracing.stop();
    },
  };
});
