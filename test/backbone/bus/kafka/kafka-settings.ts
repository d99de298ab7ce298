import type { KafkaBusOptions } from '../../../../backbone/bus/kafka/kafka-bus.js';

/** Settings of a bus on the brokers, in plain text. */
export function kafkaSettings(brokers: readonly string[], prefix: string): KafkaBusOptions['kafka'] {
  return {
    brokers,
    prefix,
    tls: undefined,
    sasl: undefined,
    compression: 'none',
    lingerMs: 0,
    replicationFactor: 1,
    minInsyncReplicas: 1,
  };
}
