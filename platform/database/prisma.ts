import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { PrismaClient } from '../../prisma/generated/client.js';
import { connectionSettings } from './connection-settings.js';
import { surviveLoss } from './pool.js';

export type { PrismaClient };
export { Prisma } from '../../prisma/generated/client.js';

/** A Prisma client with a pool of its own, for write models and reads by id. Hot paths use `pg` beside it. */
export function createPrisma(options: { url: string; size: number; applicationName: string }): PrismaClient {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.size,
    application_name: options.applicationName,
    ...connectionSettings,
  });
  surviveLoss(pool);
  return new PrismaClient({
    adapter: new PrismaPg(pool, { disposeExternalPool: true }),
    transactionOptions: { maxWait: 5_000, timeout: 15_000 },
  });
}
