/** `fleetgraph replay`: rebuilds a projection, on the database itself, while fleetgraph runs. */
import { join } from 'node:path';
import { replayable, type ReplayableProjection } from '../workers/projector/replay/rebuilding.js';
import { replayProjection } from '../workers/projector/replay/replay.js';
import { readConfig } from '../platform/config/config.js';
import { runningDatabaseUrl } from '../platform/embedded/postgres.js';
import { FleetgraphError, StartupError } from '../platform/errors.js';

/** Resolves when the rebuilt projection is the live one. @throws StartupError when it can't be done as asked. */
export async function replay(options: { readonly projection: string; readonly from?: Date }): Promise<void> {
  const config = readConfig();
  const databaseUrl = config.database.url ?? (await runningDatabaseUrl(join(config.dataDirectory, 'postgres')));
  if (databaseUrl === undefined)
    throw new StartupError(
      `There is no database: DATABASE_URL is not set, and no fleetgraph runs with ${config.dataDirectory}. Set the one, or start the other.`,
    );
  let told = Date.now();
  try {
    const { read, mended } = await replayProjection({
      ...options,
      databaseUrl,
      telemetryRetentionDays: config.telemetry.retentionDays,
      onProgress: (sofar) => {
        if (Date.now() - told < 5_000) return;
        told = Date.now();
        console.log(`${sofar} read`);
      },
    });
    const what = replayable[options.projection as ReplayableProjection];
    console.log(
      `${options.projection} is rebuilt of ${read} ${what}${mended === undefined ? '' : `; ${mended} rows were otherwise than before`}.`,
    );
  } catch (error) {
    if (error instanceof FleetgraphError) throw new StartupError(error.message, { cause: error });
    throw error;
  }
}
