/**
 * What the roles stand on: the database, the bus, and who is who. Embedded where the configuration names no other; a neighbour that
 * starts later than this process is waited for.
 */
import { join } from 'node:path';
import type { EventBus } from '../backbone/bus/event-bus.js';
import { topicOptions, topics } from '../backbone/bus/topics.js';
import type { Config } from '../platform/config/config.js';
import { migrate } from '../platform/database/migrate.js';
import { createPool } from '../platform/database/pool.js';
import { createPrisma } from '../platform/database/prisma.js';
import { isTransientDatabaseError } from '../platform/database/transient.js';
import { lockDataDirectory } from '../platform/embedded/data-directory.js';
import { startEmbeddedPostgres } from '../platform/embedded/postgres.js';
import { codeOf, messageOf, StartupError } from '../platform/errors.js';
import type { DevelopmentIssuer } from '../platform/identity/development-issuer.js';
import type { VerifyToken } from '../platform/identity/verify-token.js';
import { untilAvailable } from '../platform/lifecycle/until-available.js';
import type { Logger } from '../platform/observability/logger.js';
import { createMetrics } from '../platform/observability/metrics.js';
import { openIdentity } from './open-identity.js';

/** What closes what was opened; to be called in reverse. */
export type Closers = (() => Promise<void>)[];

export interface Foundations {
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

/** Opens everything, and adds what closes it to `closers`, also when it fails half way. @throws StartupError */
export async function openFoundations(config: Config, log: Logger, closers: Closers): Promise<Foundations> {
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
    ? (await import('../backbone/bus/kafka/kafka-bus.js')).createKafkaBus({
        kafka: config.kafka,
        instance: config.instance,
        log,
        metrics,
      })
    : (await import('../backbone/bus/postgres/postgres-bus.js')).createPostgresBus({
        pool: backbonePool,
        databaseUrl,
        log,
        metrics,
      });
  closers.push(() => bus.close());
  await makeTopics(bus, config, log);

  const { verifyToken, issuer } = await openIdentity(config);
  return {
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
  };
}

async function openDatabase(config: Config, log: Logger, closers: Closers): Promise<string> {
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
      log,
      timeoutMs: config.startupTimeoutMs,
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
    const make = async (): Promise<void> => {
      await bus.ensureTopics(topicOptions(config.bus));
      const wanted = config.bus.partitions;
      for (const topic of Object.values(topics)) {
        // For the log alone: a start must not fail because of it.
        const partitions = await bus.partitionsOf(topic).catch(() => wanted);
        if (partitions !== wanted)
          log.info(
            { topic, partitions, wanted },
            'topic keeps the partitions it has; BUS_PARTITIONS is for new topics',
          );
      }
    };
    await untilAvailable('the bus', make, {
      log,
      timeoutMs: config.startupTimeoutMs,
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
