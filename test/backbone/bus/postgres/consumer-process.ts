// Program for the contract tests: `consumer-process.ts URL GROUP TOPIC LEASE_TTL_MS` joins the group, says that it holds a
// batch when it is given one, and never lets go of it: it is to be killed.
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createPostgresBus } from '../../../../backbone/bus/postgres/postgres-bus.js';
import { createPool } from '../../../../platform/database/pool.js';

const [databaseUrl = '', group = '', topic = '', leaseTtlMs = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const bus = createPostgresBus({
  pool: createPool({ url: databaseUrl, size: 4, applicationName: 'consumer-process', log }),
  databaseUrl,
  log,
  metrics: new Registry(),
  leaseTtlMs: Number(leaseTtlMs),
});
await bus.subscribe({ group, topics: [topic] }, async () => {
  process.stdout.write('holds a batch\n');
  await new Promise(() => undefined);
});
process.stdout.write('joined\n');
