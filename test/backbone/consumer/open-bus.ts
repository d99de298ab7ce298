import { pino } from 'pino';
import type pg from 'pg';
import { Registry } from 'prom-client';
import type { EventBus } from '../../../backbone/bus/event-bus.js';
import { createKafkaBus } from '../../../backbone/bus/kafka/kafka-bus.js';
import { createPostgresBus } from '../../../backbone/bus/postgres/postgres-bus.js';
import { kafkaSettings } from '../bus/kafka/kafka-settings.js';

/** Where a bus is, in words that a command line can carry. Without brokers it is in the database. */
export interface BusAddress {
  readonly databaseUrl: string;
  readonly brokers: readonly string[];
  readonly prefix: string;
}

/** Members that die are missed soon, so that tests of takeover are short. */
export function openBus({ databaseUrl, brokers, prefix }: BusAddress, pool: pg.Pool): EventBus {
  const [log, metrics] = [pino({ level: 'silent' }), new Registry()];
  return brokers.length > 0
    ? createKafkaBus({
        kafka: kafkaSettings(brokers, prefix),
        instance: 'test',
        log,
        metrics,
        sessionTimeoutMs: 6_000,
      })
    : createPostgresBus({ pool, databaseUrl, log, metrics, leaseTtlMs: 1_000 });
}
