/** Real Kafka, Mosquitto, Traefik and PostgreSQL, each role a process of its own. */
import { describe } from 'vitest';
import { hasProduction, startProduction } from '../world/production.js';
import { describeMainJob } from './main-job.js';

describe.skipIf(!hasProduction())('as in production', () => {
  describeMainJob('each role a process behind Traefik, Kafka and a broker', () => startProduction());
});
