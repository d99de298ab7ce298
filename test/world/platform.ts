/** The whole platform in this process, on a database of its own, with clients that use it as its users do. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFleetgraph, type Fleetgraph } from '../../cli/composition.js';
import { readConfig } from '../../platform/config/config.js';
import { allScopes } from '../../platform/identity/identity.js';
import { freePorts } from './cli.js';
import { createDatabase, silentLog, type TestDatabase } from './database.js';
import type { Logger } from '../../platform/observability/logger.js';
import { createPlatformClients, type PlatformClients } from './platform-clients.js';

export {
  topic,
  type GraphQLResponse,
  type PlatformClients,
  type RegisteredDevice,
  type Subscriber,
} from './platform-clients.js';

export interface TestPlatform extends PlatformClients, AsyncDisposable {
  readonly database: TestDatabase;
  readonly fleetgraph: Fleetgraph;
}

export async function startPlatform(
  settings: Readonly<Record<string, string>> = {},
  log: Logger = silentLog,
): Promise<TestPlatform> {
  const database = await createDatabase();
  const dataDirectory = await mkdtemp(join(tmpdir(), 'fleetgraph-platform-'));
  const config = readConfig({
    NODE_ENV: 'test',
    FLEETGRAPH_DATA_DIR: dataDirectory,
    DATABASE_URL: database.url,
    ...freePorts,
    ...settings,
  });
  const fleetgraph = await startFleetgraph({ config, log });
  const { gateway = '', bridge = '', mqtt = '' } = fleetgraph.addresses;
  const clients = createPlatformClients({
    gateway,
    bridge,
    mqtt,
    async token(tenant, scopes = allScopes, lifetimeSeconds = 3_600) {
      if (!fleetgraph.issuer) throw new Error('The test platform has no issuer.');
      return fleetgraph.issuer.issue({ tenant, subject: 'tester', scopes, lifetimeSeconds });
    },
  });
  return {
    ...clients,
    database,
    fleetgraph,
    async [Symbol.asyncDispose]() {
      await clients[Symbol.asyncDispose]();
      await fleetgraph.stop();
      await database[Symbol.asyncDispose]();
      await rm(dataDirectory, { recursive: true, force: true });
    },
  };
}
