/** `fleetgraph start`: starts, says where everything is, and runs until a signal. */
import { readConfig, type Config, type RoleName } from '../platform/config/config.js';
import { startTracing } from '../platform/observability/tracing.js';
import { createLogger, type Logger } from '../platform/observability/logger.js';
import { banner } from './banner.js';
import { startFleetgraph, type Fleetgraph } from './composition.js';
import { awaitStopSignal } from './stop-signal.js';

/** Runs until SIGINT or SIGTERM, then drains and resolves. */
export async function start(options: { roles?: RoleName[] }): Promise<void> {
  await runFleetgraph({ ...options, config: readConfig() }, async (_fleetgraph, _log, stopped) => stopped);
}

/** Starts fleetgraph, runs `work` beside it and stops when `work` resolves. `stopped` resolves on the first signal. */
export async function runFleetgraph(
  options: { config: Config; roles?: RoleName[] },
  work: (fleetgraph: Fleetgraph, log: Logger, stopped: Promise<void>) => Promise<void>,
): Promise<void> {
  const { config } = options;
  const tracing = await startTracing(config.tracing);
  const log = createLogger({ level: config.logLevel, pretty: process.stdout.isTTY && config.mode !== 'production' });
  const { stopped, hasCome } = awaitStopSignal(log);
  const fleetgraph = await startFleetgraph({ config, log, ...(options.roles ? { roles: options.roles } : {}) });
  try {
    if (!hasCome()) {
      console.log(await banner({ fleetgraph, config }));
      await Promise.race([work(fleetgraph, log, stopped), fleetgraph.failed]);
    }
  } finally {
    await fleetgraph.stop();
    await tracing.stop();
    log.info('stopped');
  }
}
