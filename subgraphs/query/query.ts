import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import type { Config } from '../../platform/config/config.js';
import type { VerifyToken } from '../../platform/identity/verify-token.js';
import type { ServiceRole } from '../../platform/lifecycle/role.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';

export interface QueryRoleOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly pool: pg.Pool;
  readonly bus: EventBus;
  readonly verifyToken: VerifyToken;
}

/** The query subgraph: reads over HTTP and subscriptions over graphql-ws, on one port, path /graphql. */
export function createQueryRole(_options: QueryRoleOptions): ServiceRole {
  throw new Error('Not built yet.');
}
