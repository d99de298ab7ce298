/** The broker of the run: starts while the first tests run, so that nobody waits for it who doesn't need it. */
import type { TestProject } from 'vitest/node';
import { findKafkaJars } from './kafka-jars.js';
import { startKafka } from './kafka.js';
import { hasDockerEngine, startRedpanda } from './redpanda.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** `host:port` of brokers, which may still be starting; empty when there are none. */
    readonly kafkaBrokers: readonly string[];
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['KAFKA_BROKERS'];
  if (given !== undefined || (findKafkaJars() === undefined && !hasDockerEngine())) {
    project.provide('kafkaBrokers', given?.split(',') ?? []);
    return async () => undefined;
  }
  const broker = findKafkaJars() === undefined ? await startRedpanda() : await startKafka();
  project.provide('kafkaBrokers', [broker.address]);
  return async () => {
    await broker[Symbol.asyncDispose]();
  };
}
