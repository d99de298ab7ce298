/** A projector in a process of its own, to be killed: `node --import tsx projector-process.ts <database url>`. */
import { Registry } from 'prom-client';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { readConfig } from '../../../platform/config/config.js';
import { createPool } from '../../../platform/database/pool.js';
import { createLogger } from '../../../platform/observability/logger.js';
import { createProjectorRole } from '../../../workers/projector/projector.js';

const [, , databaseUrl = ''] = process.argv;
const log = createLogger({ level: 'silent', pretty: false });
const metrics = new Registry();
const pool = createPool({ url: databaseUrl, size: 6, applicationName: 'projector-process', log });
const bus = createPostgresBus({ pool, databaseUrl, log, metrics, leaseTtlMs: 1_000 });
await createProjectorRole({ config: readConfig({ NODE_ENV: 'test' }), log, metrics, pool, bus }).start();
process.stdout.write('started\n');
