// Program for the chaos tests: `group-process.ts BROKERS PREFIX DATABASE_URL GROUP TOPIC MEMBER PAUSE_MS` consumes; each
// record becomes a row of `seen`, with the member's name, PAUSE_MS after the one before it.
import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createKafkaBus } from '../../../../backbone/bus/kafka/kafka-bus.js';
import { pause } from '../../../../platform/lifecycle/wait.js';
import { kafkaSettings } from './kafka-settings.js';

const [brokers = '', prefix = '', databaseUrl = '', group = '', topic = '', member = '', pauseMs = '0'] =
  process.argv.slice(2);
const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
const bus = createKafkaBus({
  kafka: kafkaSettings(brokers.split(','), prefix),
  instance: member,
  log: pino({ level: 'silent' }),
  metrics: new Registry(),
  sessionTimeoutMs: 6_000,
});
await bus.subscribe({ group, topics: [topic], maxBatchSize: 20 }, async ({ partition, records }) => {
  for (const { offset, key, value } of records) {
    await pause(Number(pauseMs));
    await pool.query('INSERT INTO seen (member, partition, "offset", key, value) VALUES ($1, $2, $3, $4, $5)', [
      ...[member, partition, String(offset), key, value],
    ]);
  }
});
process.stdout.write('joined\n');
