// Program: subscribers of an MQTT broker that drop every message; counts them. Asked with a line, it says how many came, and
// how long those took that came since it was asked last.
import { connectAsync } from 'mqtt';
import { createLatencies } from './latencies.js';

const [url = '', connections = '1'] = process.argv.slice(2);
let received = 0;
const latencies = createLatencies();
for (let index = 0; index < Number(connections); index += 1) {
  const client = await connectAsync(url, { clientId: `dropper-${index}`, protocolVersion: 5 });
  client.on('message', (_topic, payload) => {
    received += 1;
    latencies.arrived((JSON.parse(payload.toString()) as { ts: number }).ts);
  });
  await client.subscribeAsync('$share/droppers/fleet/#', { qos: 1 });
}
process.stdin.on('data', () => console.log(JSON.stringify({ received, ...latencies.sinceLastAsked() })));
process.once('SIGTERM', () => process.exit(0));
console.log(JSON.stringify({ hello: {} }));
