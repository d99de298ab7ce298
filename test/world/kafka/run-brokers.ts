import { inject } from 'vitest';
import { eventually } from '../eventually.js';
import { answers } from './kafka.js';

/** `host:port` of the brokers that all tests of the run share, when they answer. Ask `hasKafka` first. */
export async function runBrokers(): Promise<readonly string[]> {
  const response = await fetch(inject('kafkaBrokerUrl'));
  const text = await response.text();
  if (!response.ok) throw new Error(`The broker of the run does not start: ${text}`);
  const brokers = text.split(',');
  await eventually(() => answers(brokers), 60_000);
  return brokers;
}
