/** The actions role in a process of its own, to be killed. Arguments: database URL. Settings come from the environment. */
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { readConfig } from '../../../platform/config/config.js';
import { createPool } from '../../../platform/database/pool.js';
import { createPrisma } from '../../../platform/database/prisma.js';
import { createMetrics } from '../../../platform/observability/metrics.js';
import { createActionsRole } from '../../../subgraphs/actions/actions.js';
import { pino } from 'pino';

const [url = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const metrics = createMetrics({ processMetrics: false });
const pool = createPool({ url, size: 8, applicationName: 'actions-process', log });
const role = createActionsRole({
  log,
  metrics,
  pool,
  config: readConfig({ NODE_ENV: 'test', ACTIONS_PORT: '0', ...process.env }),
  prisma: createPrisma({ url, size: 4, applicationName: 'actions-process-prisma' }),
  bus: createPostgresBus({ pool, databaseUrl: url, log, metrics }),
  // Nobody asks it anything.
  verifyToken: () => Promise.reject(new Error('This process has no issuer.')),
});
await role.start();
process.stdout.write('started\n');
