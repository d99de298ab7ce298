/** `fleetgraph start`: starts, says where everything is, and runs until a signal. */
import { readConfig, type Config, type RoleName } from '../config/config.js';
import { startTracing } from '../observability/trace-context.js';
import { createLogger, type Logger } from '../observability/logger.js';
import { banner } from './banner.js';
import { startFleetgraph, type Fleetgraph } from './composition.js';

/** Runs until SIGINT or SIGTERM, then drains and resolves. */
export async function start(options: { roles?: RoleName[] }): Promise<void> {
  await runFleetgraph({ ...options, config: readConfig() }, async (_fleetgraph, _log, stopped) => stopped);
}

/**
 * Starts fleetgraph, runs `work` beside it and stops when `work` resolves. `stopped` resolves on the first signal; a
 * second signal, one second or more after the first (npm sends each Ctrl-C on as well), ends the process at once.
 */
export async function runFleetgraph(
  options: { config: Config; roles?: RoleName[] },
  work: (fleetgraph: Fleetgraph, log: Logger, stopped: Promise<void>) => Promise<void>,
): Promise<void> {
  startTracing();
  const { config } = options;
  const log = createLogger({ level: config.logLevel, pretty: process.stdout.isTTY && config.mode !== 'production' });
  let firstSignalAt: number | undefined;
  const stopped = new Promise<void>((resolve) => {
    const onSignal = () => {
      if (firstSignalAt === undefined) {
        firstSignalAt = Date.now();
        log.info('stopping: draining what was accepted; Ctrl-C again to give up on that');
        resolve();
      } else if (Date.now() - firstSignalAt > 1_000) {
        process.exit(130);
      }
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
  const fleetgraph = await startFleetgraph({ config, log, ...(options.roles ? { roles: options.roles } : {}) });
  try {
    if (firstSignalAt === undefined) {
      console.log(await banner({ fleetgraph, config }));
      await work(fleetgraph, log, stopped);
    }
  } finally {
    await fleetgraph.stop();
    log.info('stopped');
  }
}
