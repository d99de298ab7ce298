/** The composition root: reads the configuration, opens what the roles stand on, makes the roles asked for and starts them. */
import { roleNames, type Config, type RoleName } from '../platform/config/config.js';
import { StartupError } from '../platform/errors.js';
import { createHttpService, listen } from '../platform/http/service.js';
import type { DevelopmentIssuer } from '../platform/identity/development-issuer.js';
import { createHost, type Host } from '../platform/lifecycle/host.js';
import type { Logger } from '../platform/observability/logger.js';
import { openFoundations, type Closers } from './foundations.js';
import { makeRoles, type Parts } from './roles.js';

export interface Fleetgraph extends Pick<Host, 'ready' | 'stop'> {
  /** Where the started roles listen; only those that run here. */
  readonly addresses: {
    readonly device?: string;
    readonly actions?: string;
    readonly query?: string;
    readonly gateway?: string;
    readonly bridge?: string;
    readonly mqtt?: string;
    readonly operations: string;
  };
  /** Connection URL of the database, embedded or not. */
  readonly databaseUrl: string;
  /** Rejects when a part can't go on, however often it is started again. */
  readonly failed: Promise<never>;
  /** Absent when tokens come from another issuer (JWKS_URL). */
  readonly issuer?: DevelopmentIssuer;
}

/** Makes the parts of fleetgraph that `roles` names and starts them. @throws StartupError, with everything stopped again. */
export async function startFleetgraph(options: {
  config: Config;
  log: Logger;
  roles?: readonly RoleName[];
}): Promise<Fleetgraph> {
  const { config, log } = options;
  const roles = roleNames.filter((name) => (options.roles ?? roleNames).includes(name));
  if (config.database.url === undefined && roles.length < roleNames.length) {
    throw new StartupError(
      'Roles in processes of their own share one database. Set DATABASE_URL, or start all roles together.',
    );
  }
  if (config.mode === 'production' && config.identity.jwksUrl === undefined) {
    throw new StartupError(
      'The development issuer is not for production. Set JWKS_URL (with JWT_ISSUER and JWT_AUDIENCE) to your identity provider.',
    );
  }
  const closers: Closers = [];
  const closeAll = async (): Promise<void> => {
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
      await close().catch((error: unknown) => log.error({ err: error }, 'failed to close'));
    }
  };
  try {
    const foundations = await openFoundations(config, log, closers);
    const { metrics, databaseUrl, issuer } = foundations;
    const parts = await makeRoles(roles, foundations);
    const host = createHost({ roles: parts.ordered, log, shutdownTimeoutMs: config.shutdownTimeoutMs });

    const operations = createHttpService({
      name: 'operations',
      host: config.host,
      port: config.ports.operations,
      log,
      metrics: parts.workers ? { contentType: metrics.contentType, metrics: parts.workers.metrics } : metrics,
      ready: () => host.ready(),
    });
    closers.push(() => operations.close());
    const operationsPort = await listen(operations, {
      name: 'operations',
      host: config.host,
      port: config.ports.operations,
    });
    await host.start();

    const url = (scheme: string, port: number) =>
      `${scheme}://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`;
    return {
      addresses: {
        operations: url('http', operationsPort),
        ...subgraphUrls(parts.subgraphs, url),
        ...(parts.gateway ? { gateway: url('http', parts.gateway.port()) } : {}),
        ...(parts.bridge
          ? { bridge: url('http', parts.bridge.port()), ...mqttAddress(config, parts.bridge.mqttPort(), url) }
          : {}),
      },
      databaseUrl,
      failed: parts.workers?.failed ?? new Promise<never>(() => undefined),
      ...(issuer ? { issuer } : {}),
      ready: () => host.ready(),
      async stop() {
        await host.stop();
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Where devices connect. */
function mqttAddress(
  config: Config,
  port: number | undefined,
  url: (scheme: string, port: number) => string,
): { mqtt?: string } {
  const address = port === undefined ? config.mqtt.url : url('mqtt', port);
  return address === undefined ? {} : { mqtt: address };
}

/** URLs of the GraphQL endpoints of the subgraphs that run here. */
function subgraphUrls(
  subgraphs: Parts['subgraphs'],
  url: (scheme: string, port: number) => string,
): Partial<Record<keyof Parts['subgraphs'], string>> {
  return Object.fromEntries(
    Object.entries(subgraphs).map(([name, role]) => [name, `${url('http', role.port())}/graphql`]),
  );
}
