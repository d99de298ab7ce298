// Program for the contract tests: `consumer-process.ts BROKERS PREFIX GROUP TOPIC SESSION_TIMEOUT_MS` joins the group, says
// that it holds a batch when it is given one, and never lets go of it: it is to be killed.
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createKafkaBus } from '../../../../backbone/bus/kafka/kafka-bus.js';
import { kafkaSettings } from './kafka-settings.js';

const [brokers = '', prefix = '', group = '', topic = '', sessionTimeoutMs = ''] = process.argv.slice(2);
const bus = createKafkaBus({
  kafka: kafkaSettings(brokers.split(','), prefix),
  instance: 'consumer-process',
  log: pino({ level: 'silent' }),
  metrics: new Registry(),
  sessionTimeoutMs: Number(sessionTimeoutMs),
});
await bus.subscribe({ group, topics: [topic] }, async () => {
  process.stdout.write('holds a batch\n');
  await new Promise(() => undefined);
});
process.stdout.write('joined\n');
