// Program: subscribers of an MQTT broker that drop every message; counts them. Asked with a line, it says how many came.
import { connectAsync } from 'mqtt';

const [url = '', connections = '1'] = process.argv.slice(2);
let received = 0;
for (let index = 0; index < Number(connections); index += 1) {
  const client = await connectAsync(url, { clientId: `dropper-${index}`, protocolVersion: 5 });
  client.on('message', () => (received += 1));
  await client.subscribeAsync('$share/droppers/fleet/#', { qos: 1 });
}
process.stdin.on('data', () => console.log(JSON.stringify({ received })));
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: {} }));
