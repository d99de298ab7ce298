import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import type { Config } from '../../platform/config/config.js';
import type { PrismaClient } from '../../platform/database/prisma.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import type { ServiceRole } from '../../platform/lifecycle/role.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';

export interface ActionsRoleOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly pool: pg.Pool;
  readonly prisma: PrismaClient;
  readonly bus: EventBus;
  readonly verifyToken: VerifyToken;
}

/** The actions subgraph: commands to devices, from `sendCommand` to their one final status. */
export function createActionsRole(_options: ActionsRoleOptions): ServiceRole {
  throw new Error('Not built yet.');
}
