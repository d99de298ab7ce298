/**
 * A consumer whose effect is a row, in a process of its own: `consumer-process.ts <address of the bus> [die]`. With `die` it
 * prints "effect" and hangs between its effect and the commit of its offset, to be killed there.
 */
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createConsumer } from '../../../backbone/consumer/consumer.js';
import { createPool } from '../../../platform/database/pool.js';
import { nameOf, topic } from './named-events.js';
import { openBus, type BusAddress } from './open-bus.js';

const [, , address = '', mode] = process.argv;
const busAddress = JSON.parse(address) as BusAddress;
const log = pino({ level: 'silent' });
const metrics = new Registry();
const pool = createPool({ url: busAddress.databaseUrl, size: 4, applicationName: 'consumer-process', log });
const bus = openBus(busAddress, pool);
await createConsumer({
  name: 'consumer',
  topics: [topic],
  bus,
  pool,
  log,
  metrics,
  maxBatchSize: 3,
  async handle(events) {
    for (const { event } of events) {
      await pool.query('INSERT INTO attempts (id, name) VALUES ($1, $2)', [event.id, nameOf(event)]);
      await pool.query('INSERT INTO effects (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
        event.id,
        nameOf(event),
      ]);
    }
    if (mode === 'die') {
      process.stdout.write('effect\n');
      await new Promise(() => undefined);
    }
  },
}).start();
if (mode !== 'die') process.stdout.write('started\n');
