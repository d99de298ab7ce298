import type pg from 'pg';
import type { EventBus } from '../../backbone/bus/event-bus.js';
import type { Config } from '../../platform/config/config.js';
import type { Role } from '../../platform/lifecycle/role.js';
import type { Logger } from '../../platform/observability/logger.js';
import type { Registry } from '../../platform/observability/metrics.js';

export interface ProjectorRoleOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly pool: pg.Pool;
  readonly bus: EventBus;
}

/** The projector: follows the backbone and writes the schema `projections`. */
export function createProjectorRole(_options: ProjectorRoleOptions): Role {
  throw new Error('Not built yet.');
}
