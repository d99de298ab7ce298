// Program: reads a topic of Kafka as it grows. Asked with a line, it says how long the messages since it was asked last took from
// their timestamp to here: as the device wrote it, or as the event of our bridge has it.
import { Kafka, logLevel } from 'kafkajs';
import { createLatencies } from './latencies.js';

const [brokers = '', topic = ''] = process.argv.slice(2);
const latencies = createLatencies();
const consumer = new Kafka({ clientId: 'arrivals', brokers: brokers.split(','), logLevel: logLevel.NOTHING }).consumer({
  groupId: `arrivals-${process.pid}`,
  maxWaitTimeInMs: 5,
});
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: false });
const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
await consumer.run({
  eachMessage: async ({ message }) => {
    const value = JSON.parse(message.value?.toString() ?? '{}') as {
      ts?: number;
      readings?: readonly { readonly at: number }[];
    };
    latencies.arrived(value.ts ?? value.readings?.[0]?.at ?? Number.NaN);
  },
});
await joined;
process.stdin.on('data', () => console.log(JSON.stringify(latencies.sinceLastAsked())));
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: {} }));
