/** An orchestrator in a process of its own, to be killed: `node --import tsx orchestrator-process.ts <database url>`. */
import { Registry } from 'prom-client';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { createPool } from '../../../platform/database/pool.js';
import { createLogger } from '../../../platform/observability/logger.js';
import { createOrchestratorRole } from '../../../workers/orchestrator/orchestrator.js';

const [, , databaseUrl = ''] = process.argv;
const log = createLogger({ level: 'silent', pretty: false });
const metrics = new Registry();
const pool = createPool({ url: databaseUrl, size: 6, applicationName: 'orchestrator-process', log });
const bus = createPostgresBus({ pool, databaseUrl, log, metrics, leaseTtlMs: 1_000 });
await createOrchestratorRole({ log, metrics, pool, bus }).start();
process.stdout.write('started\n');
