/** `fleetgraph demo`: start and simulate together, in one process. */
import { readConfig } from '../platform/config/config.js';
import { developmentTenant } from './own-gateway.js';
import { runSimulation } from './simulate.js';
import { runFleetgraph } from './start.js';

/** Runs until a signal or until `seconds` have passed. */
export async function demo(options: { devices: number; rate: number; seconds?: number }): Promise<void> {
  await runFleetgraph({ config: readConfig() }, async (fleetgraph, _log, stopped) => {
    const stop = new AbortController();
    void stopped.then(() => stop.abort());
    const { gateway, mqtt } = fleetgraph.addresses;
    await runSimulation({
      ...options,
      tenant: developmentTenant,
      ...(gateway ? { gateway } : {}),
      ...(mqtt ? { mqtt } : {}),
      signal: stop.signal,
    });
  });
}
