// Program: the least that brings messages from MQTT to Kafka. It acknowledges to the broker as soon as it has a message, checks
// and decodes nothing, and does not wait for Kafka: what is on its way is lost when it dies.
import { Kafka, Partitioners, type Message } from 'kafkajs';
import { connectAsync } from 'mqtt';

const [url = '', brokers = '', topic = '', connections = '1'] = process.argv.slice(2);
const producer = new Kafka({ clientId: 'forwarder', brokers: brokers.split(',') }).producer({
  createPartitioner: Partitioners.DefaultPartitioner,
});
await producer.connect();
let waiting: Message[] = [];
const flush = (): void => {
  const messages = waiting;
  waiting = [];
  void producer.send({ topic, acks: 1, messages });
};
for (let index = 0; index < Number(connections); index += 1) {
  const client = await connectAsync(url, { clientId: `forwarder-${index}`, protocolVersion: 5 });
  client.on('message', (name, payload) => {
    if (waiting.length === 0) setTimeout(flush, 5);
    waiting.push({ key: name.split('/')[2] ?? null, value: payload });
  });
  await client.subscribeAsync('$share/forwarders/fleet/+/+/telemetry', { qos: 1 });
}
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: {} }));
