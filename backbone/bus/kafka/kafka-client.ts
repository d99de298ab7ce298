/** How a kafkajs client is made: addresses, TLS, SASL, patience, and its log in ours. */
import { readFileSync } from 'node:fs';
import { Kafka, logLevel, type LogEntry, type SASLOptions } from 'kafkajs';
import type { KafkaConfig } from '../../../platform/config/config.js';
import { messageOf, StartupError } from '../../../platform/errors.js';
import type { Logger } from '../../../platform/observability/logger.js';

/** Where the brokers are and how they want to be spoken to. */
export type KafkaConnection = Pick<KafkaConfig, 'brokers' | 'tls' | 'sasl'>;

/** Makes clients. Each has brokers and committed offsets of its own: kafkajs shares both within one `Kafka`. */
export type CreateKafka = () => Kafka;

/**
 * @param clientId what the broker calls us in its logs and quotas.
 * @throws StartupError when the file of the certificate authority can't be read.
 */
export function kafkaClients(connection: KafkaConnection, clientId: string, log: Logger): CreateKafka {
  const ssl = connection.tls === undefined ? false : { ca: authorities(connection.tls.caFile) };
  return () =>
    new Kafka({
      clientId,
      brokers: [...connection.brokers],
      ssl,
      ...(connection.sasl === undefined ? {} : { sasl: saslOptions(connection.sasl) }),
      connectionTimeout: 3_000,
      authenticationTimeout: 10_000,
      requestTimeout: 10_000,
      // Given up after a few seconds: who waits longer is decided above, where it is known what for.
      retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5 },
      // What matters is reported by what failed; kafkajs says each failure several times over.
      logLevel: logLevel.WARN,
      logCreator: () => (entry) => passOn(entry, log),
    });
}

function saslOptions({ mechanism, username, password }: NonNullable<KafkaConnection['sasl']>): SASLOptions {
  switch (mechanism) {
    case 'plain':
      return { mechanism, username, password };
    case 'scram-sha-256':
      return { mechanism, username, password };
    case 'scram-sha-512':
      return { mechanism, username, password };
  }
}

function authorities(caFile: string | undefined): string[] | undefined {
  if (caFile === undefined) return undefined;
  try {
    return [readFileSync(caFile, 'utf8')];
  } catch (error) {
    throw new StartupError(`KAFKA_CA_FILE can't be read: ${messageOf(error)}.`, { cause: error });
  }
}

function passOn({ namespace, log: { message, ...rest } }: LogEntry, log: Logger): void {
  const { timestamp: _timestamp, logger: _logger, stack: _stack, ...details } = rest;
  log.debug({ kafka: namespace, ...details }, message);
}
