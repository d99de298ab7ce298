// Program: the same MQTT broker with nothing behind it but one subscriber that drops every message.
import { Aedes } from 'aedes';
import { createServer, type AddressInfo } from 'node:net';
import { connectAsync } from 'mqtt';

const broker = await Aedes.createBroker();
const server = createServer(broker.handle);
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const mqtt = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
const subscriber = await connectAsync(mqtt, { clientId: 'dropper' });
await subscriber.subscribeAsync('fleet/#', { qos: 1 });
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: { mqtt } }));
