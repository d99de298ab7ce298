import { randomUUID } from 'node:crypto';
import { Registry } from 'prom-client';
import type { EventBus } from '../../../../backbone/bus/event-bus.js';
import { createKafkaBus, type KafkaBusOptions } from '../../../../backbone/bus/kafka/kafka-bus.js';
import { startScript } from '../../../world/child-process.js';
import { silentLog } from '../../../world/database.js';
import { eventually } from '../../../world/eventually.js';
import { answers } from '../../../world/kafka/kafka.js';
import { runBrokers } from '../../../world/kafka/run-brokers.js';
import type { BusWorld } from '../contract.js';
import { kafkaSettings } from './kafka-settings.js';

export interface KafkaBusWorld extends BusWorld {
  readonly brokers: readonly string[];
  /** In front of the names of this world's topics and groups. */
  readonly prefix: string;
  /** An instance as another process would open it. Closed with the world. */
  createBus(settings?: Partial<KafkaBusOptions>, kafka?: Partial<KafkaBusOptions['kafka']>): Promise<EventBus>;
}

/** Members that are silent for this long are taken for dead: what Kafka allows by default at the least. */
export const sessionTimeoutMs = 6_000;

/** Buses on the run's broker, or on those given, under names of their own. */
export async function createKafkaBusWorld(given?: readonly string[]): Promise<KafkaBusWorld> {
  const brokers = given ?? (await runBrokers());
  if (given) await eventually(() => answers(given), 60_000);
  const prefix = `test-${randomUUID().slice(0, 8)}.`;
  const closers: (() => Promise<void>)[] = [];
  return {
    brokers,
    prefix,
    takeoverMs: sessionTimeoutMs + 2_000,
    async createBus(settings = {}, kafka = {}) {
      const bus = createKafkaBus({
        kafka: { ...kafkaSettings(brokers, prefix), ...kafka },
        instance: 'test',
        log: silentLog,
        metrics: new Registry(),
        sessionTimeoutMs,
        ...settings,
      });
      closers.push(() => bus.close());
      return bus;
    },
    async startConsumerProcess(group, topic) {
      const child = await startScript(new URL('./consumer-process.ts', import.meta.url), [
        ...[brokers.join(','), prefix, group, topic, String(sessionTimeoutMs)],
      ]);
      closers.push(() => child.kill());
      const holdsBatch = eventually(() => {
        if (!child.output().includes('holds a batch')) throw new Error('it holds no batch yet');
      });
      holdsBatch.catch(() => undefined);
      return { holdsBatch, kill: () => child.kill() };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(closers.map((close) => close()));
    },
  };
}
