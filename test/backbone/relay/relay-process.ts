/** A relay in a process of its own: `relay-process.ts <database url>`. Prints once it runs. */
import { Registry } from 'prom-client';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { createRelayRole } from '../../../backbone/relay/relay.js';
import { createPool } from '../../../platform/database/pool.js';
import { pino } from 'pino';

const databaseUrl = process.argv[2] ?? '';
const silentLog = pino({ level: 'silent' });
const metrics = new Registry();
const pool = createPool({ url: databaseUrl, size: 3, applicationName: 'relay-process', log: silentLog });
const bus = createPostgresBus({ pool, databaseUrl, log: silentLog, metrics });
await createRelayRole({
  log: silentLog,
  metrics,
  pool,
  databaseUrl,
  bus,
  pollIntervalMs: 20,
  maxBatchSize: 10,
}).start();
process.stdout.write('started\n');
