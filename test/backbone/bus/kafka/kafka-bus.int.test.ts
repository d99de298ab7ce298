import { describe } from 'vitest';
import { hasKafka } from '../../../world/kafka/kafka.js';
import { describeEventBusContract } from '../contract.js';
import { createKafkaBusWorld } from './kafka-world.js';

describe.skipIf(!hasKafka())('on the brokers of the run', () => {
  describeEventBusContract('Kafka', () => createKafkaBusWorld());
});
