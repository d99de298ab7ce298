/**
 * The composition root: the only file that knows every part. It reads the configuration, opens what the roles stand on
 * (database, bus, identity), makes the roles asked for and wires them to each other.
 */
import { createRemoteJWKSet, type JWTVerifyGetKey } from 'jose';
import { join } from 'node:path';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import { topicOptions } from '../../backbone/bus/topics.js';
import type { DeviceDirectory } from '../../backbone/devices/device-directory.js';
import { roleNames, type Config, type RoleName } from '../config/config.js';
import { migrate } from '../database/migrate.js';
import { createPool } from '../database/pool.js';
import { createPrisma } from '../database/prisma.js';
import { isTransientDatabaseError } from '../database/transient.js';
import { lockDataDirectory } from '../embedded/data-directory.js';
import { startEmbeddedPostgres } from '../embedded/postgres.js';
import { codeOf, messageOf, StartupError } from '../errors.js';
import type { LocalSubgraph } from '../graphql/local-execution.js';
import { createHttpService, listen } from '../http/service.js';
import { openDevelopmentIssuer, type DevelopmentIssuer } from '../identity/development-issuer.js';
import { allScopes } from '../identity/identity.js';
import { createTokenVerifier, type VerifyToken } from '../identity/verify-token.js';
import { createHost, type Host } from '../lifecycle/host.js';
import type { Role, ServiceRole } from '../lifecycle/role.js';
import { untilAvailable } from '../lifecycle/until-available.js';
import type { Logger } from '../observability/logger.js';
import { createMetrics } from '../observability/metrics.js';

/** Tenant of the tokens and of the sample device that a development machine gets. */
export const developmentTenant = 'acme';

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
  const closers: (() => Promise<void>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
      await close().catch((error: unknown) => log.error({ err: error }, 'failed to close'));
    }
  };
  try {
    const metrics = createMetrics({ processMetrics: true });
    const databaseUrl = await openDatabase(config, log, closers);
    const pool = (applicationName: string) => {
      const made = createPool({ url: databaseUrl, size: config.database.poolSize, applicationName, log });
      closers.push(() => made.end());
      return made;
    };
    const prisma = createPrisma({
      url: databaseUrl,
      size: config.database.poolSize,
      applicationName: 'fleetgraph-prisma',
    });
    closers.push(() => prisma.$disconnect());
    // The backbone has connections of its own: a burst of queries must not keep telemetry from becoming durable.
    const servicePool = pool('fleetgraph');
    const backbonePool = pool('fleetgraph-backbone');
    const bus = config.kafka
      ? (await import('../../backbone/bus/kafka/kafka-bus.js')).createKafkaBus({
          kafka: config.kafka,
          instance: config.instance,
          log,
          metrics,
        })
      : (await import('../../backbone/bus/postgres/postgres-bus.js')).createPostgresBus({
          pool: backbonePool,
          databaseUrl,
          log,
          metrics,
        });
    closers.push(() => bus.close());
    await makeTopics(bus, config, log);

    const { verifyToken, issuer } = await openIdentity(config);
    const parts = await makeRoles(roles, {
      config,
      log,
      metrics,
      pool: servicePool,
      backbonePool,
      prisma,
      databaseUrl,
      bus,
      verifyToken,
      issuer,
    });
    const host = createHost({ roles: parts.ordered, log, shutdownTimeoutMs: config.shutdownTimeoutMs });

    const operations = createHttpService({
      name: 'operations',
      host: config.host,
      port: config.ports.operations,
      log,
      metrics,
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

async function openDatabase(config: Config, log: Logger, closers: (() => Promise<void>)[]): Promise<string> {
  let url = config.database.url;
  if (url === undefined) {
    const lock = await lockDataDirectory(config.dataDirectory);
    closers.push(() => lock.release());
    const postgres = await startEmbeddedPostgres({ directory: join(config.dataDirectory, 'postgres') });
    closers.push(() => postgres.stop());
    url = postgres.url;
  }
  const databaseUrl = url;
  try {
    await untilAvailable('the database', () => migrate(databaseUrl), {
      ...{ log, timeoutMs: config.startupTimeoutMs },
      isAway: isTransientDatabaseError,
    });
  } catch (error) {
    if (error instanceof StartupError) throw error;
    throw new StartupError(
      `The database at ${withoutPassword(databaseUrl)} can't be used (${messageOf(error)}). Check DATABASE_URL.`,
      { cause: error },
    );
  }
  return databaseUrl;
}

async function makeTopics(bus: EventBus, config: Config, log: Logger): Promise<void> {
  try {
    await untilAvailable('the bus', () => bus.ensureTopics(topicOptions(config.bus)), {
      ...{ log, timeoutMs: config.startupTimeoutMs },
      isAway: (error) => codeOf(error) === 'UNAVAILABLE' || isTransientDatabaseError(error),
    });
  } catch (error) {
    if (error instanceof StartupError || config.kafka === undefined) throw error;
    throw new StartupError(
      `The bus at ${config.kafka.brokers.join(', ')} can't be used (${messageOf(error)}). Check KAFKA_BROKERS and what belongs to it.`,
      { cause: error },
    );
  }
}

function withoutPassword(url: string): string {
  const parsed = new URL(url);
  parsed.password = '';
  return parsed.toString();
}

async function openIdentity(
  config: Config,
): Promise<{ verifyToken: VerifyToken; issuer: DevelopmentIssuer | undefined }> {
  const { jwksUrl, issuer, audience } = config.identity;
  if (jwksUrl !== undefined) {
    const keys: JWTVerifyGetKey = createRemoteJWKSet(new URL(jwksUrl), { timeoutDuration: 5_000 });
    return { verifyToken: createTokenVerifier({ keys, issuer, audience }), issuer: undefined };
  }
  const development = await openDevelopmentIssuer({ dataDirectory: config.dataDirectory, issuer, audience });
  return { verifyToken: createTokenVerifier({ keys: development.keys, issuer, audience }), issuer: development };
}

interface Foundations {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: ReturnType<typeof createMetrics>;
  readonly pool: ReturnType<typeof createPool>;
  readonly backbonePool: ReturnType<typeof createPool>;
  readonly prisma: ReturnType<typeof createPrisma>;
  readonly databaseUrl: string;
  readonly bus: EventBus;
  readonly verifyToken: VerifyToken;
  readonly issuer: DevelopmentIssuer | undefined;
}

interface Parts {
  readonly ordered: readonly Role[];
  readonly subgraphs: Readonly<Partial<Record<'device' | 'actions' | 'query', ServiceRole>>>;
  readonly gateway?: ServiceRole;
  readonly bridge?: ServiceRole & { mqttPort(): number | undefined };
}

/**
 * Makes the roles in start order: what others ask comes first, intake comes last, so that stopping in reverse drains.
 * The code of a role is loaded only where the role runs: most processes run one.
 */
async function makeRoles(names: readonly RoleName[], base: Foundations): Promise<Parts> {
  const { config, issuer } = base;
  const has = (name: RoleName) => names.includes(name);
  const logOf = (role: RoleName) => ({ ...base, log: base.log.child({ role }) });
  // The bridge asks the device role's directory in process, whether or not that role serves its port here too.
  const device =
    has('device') || has('bridge')
      ? (await import('../../subgraphs/device/device.js')).createDeviceRole(logOf('device'))
      : undefined;
  const actions = has('actions')
    ? (await import('../../subgraphs/actions/actions.js')).createActionsRole(logOf('actions'))
    : undefined;
  const query = has('query')
    ? (await import('../../subgraphs/query/query.js')).createQueryRole(logOf('query'))
    : undefined;
  const urlOf = (role: ServiceRole | undefined, name: 'device' | 'actions' | 'query') => () =>
    config.subgraphUrls[name] ?? `http://${config.host}:${role?.port() ?? config.ports[name]}/graphql`;
  // Unless it is said where a subgraph is: then that one is meant.
  const localOf = (name: 'device' | 'actions' | 'query', role: LocalSubgraph | undefined) =>
    role && config.subgraphUrls[name] === undefined ? { [name]: role.execute } : {};
  const gateway = has('gateway')
    ? (await import('../../gateway/gateway.js')).createGatewayRole({
        ...logOf('gateway'),
        drainMs: config.gatewayDrainMs,
        subgraphs: {
          device: urlOf(has('device') ? device : undefined, 'device'),
          actions: urlOf(actions, 'actions'),
          query: urlOf(query, 'query'),
        },
        local: {
          ...localOf('device', has('device') ? device : undefined),
          ...localOf('actions', actions),
          ...localOf('query', query),
        },
        ...(issuer
          ? {
              jwks: issuer.jwks,
              developmentToken: () =>
                issuer.issue({
                  tenant: developmentTenant,
                  subject: 'developer',
                  scopes: allScopes,
                  lifetimeSeconds: 86_400,
                }),
            }
          : {}),
      })
    : undefined;
  const relay = has('relay')
    ? (await import('../../backbone/relay/relay.js')).createRelayRole({ ...logOf('relay'), pool: base.backbonePool })
    : undefined;
  const projector = has('projector')
    ? (await import('../../workers/projector/projector.js')).createProjectorRole(logOf('projector'))
    : undefined;
  const orchestrator = has('orchestrator')
    ? (await import('../../workers/orchestrator/orchestrator.js')).createOrchestratorRole(logOf('orchestrator'))
    : undefined;
  const directory: DeviceDirectory | undefined = device?.directory;
  const bridge =
    has('bridge') && directory
      ? (await import('../../bridge/bridge.js')).createBridgeRole({ ...logOf('bridge'), directory })
      : undefined;
  const ordered = [has('device') ? device : undefined, actions, query, gateway, relay, projector, orchestrator, bridge];
  return {
    ordered: ordered.filter((role) => role !== undefined),
    subgraphs: {
      ...(device && has('device') ? { device } : {}),
      ...(actions ? { actions } : {}),
      ...(query ? { query } : {}),
    },
    ...(gateway ? { gateway } : {}),
    ...(bridge ? { bridge } : {}),
  };
}
