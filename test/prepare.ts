// Makes the servers of the tests ready that are not in npm, and says what is missing. `test/run.mjs` runs it first.
import { findKafkaJars, resolveKafkaJars } from './world/kafka/kafka-jars.js';
import { hasKafka } from './world/kafka/kafka.js';
import { hasMosquitto } from './world/mosquitto/mosquitto-binary.js';
import { buildTraefik, hasTraefik } from './world/traefik/traefik-binary.js';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
// What can't be fetched is missing: which tests that costs, the lines below say.
const attempt = async (work: Promise<void>): Promise<void> => {
  await work.catch((error: unknown) => say(error instanceof Error ? error.message : String(error)));
};
if (process.env['KAFKA_BROKERS'] === undefined && findKafkaJars() === undefined) await attempt(resolveKafkaJars(say));
await attempt(buildTraefik(say));
for (const has of [hasKafka, hasMosquitto, hasTraefik]) has();
