import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from '../../prisma/generated/client.js';

export type { PrismaClient };
export { Prisma } from '../../prisma/generated/client.js';

/** A Prisma client with a pool of its own, for write models and reads by id. Hot paths use `pg` beside it. */
export function createPrisma(options: { url: string; size: number; applicationName: string }): PrismaClient {
  return new PrismaClient({
    adapter: new PrismaPg({
      connectionString: options.url,
      max: options.size,
      application_name: options.applicationName,
    }),
    transactionOptions: { maxWait: 5_000, timeout: 15_000 },
  });
}
