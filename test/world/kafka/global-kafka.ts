/** The broker of the run, for `runBrokers` (run-brokers.ts): starts when the first test asks for it, so that nobody waits who doesn't need it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestProject } from 'vitest/node';
import { findKafkaJars } from './kafka-jars.js';
import { startKafka } from './kafka.js';
import { hasDockerEngine, startRedpanda } from './redpanda.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the address of the run's broker is told, and the broker started at the first question. */
    readonly kafkaBrokerUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['KAFKA_BROKERS'];
  const start = async () => (findKafkaJars() === undefined && hasDockerEngine() ? startRedpanda() : startKafka());
  let broker: ReturnType<typeof start> | undefined;
  const server = createServer((_request, response) => {
    const address =
      given === undefined ? (broker ??= start()).then((started) => started.address) : Promise.resolve(given);
    address.then(
      (found) => response.end(found),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  project.provide('kafkaBrokerUrl', `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const started = await broker?.catch(() => undefined);
    await started?.[Symbol.asyncDispose]();
  };
}
