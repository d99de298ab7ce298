/** Two bridges, each with the broker that is in it: what one hears of a device goes for the other. */
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCluster, type Cluster } from '../world/cluster/cluster.js';
import { eventually } from '../world/eventually.js';

let cluster: Cluster;
const clients: MqttClient[] = [];
beforeAll(async () => {
  cluster = await createCluster({ counts: { actions: 0, query: 0, gateway: 0, projector: 0, bridge: 2 } });
  await cluster.startAll();
}, 120_000);
afterAll(async () => {
  for (const client of clients) client.end(true);
  await cluster?.[Symbol.asyncDispose]();
});

interface Credentials {
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
}

async function ask<Data>(query: string): Promise<Data> {
  const response = await fetch(`${cluster.one('device').url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await cluster.token('acme')}` },
    body: JSON.stringify({ query }),
  });
  const { data, errors } = (await response.json()) as { data?: Data; errors?: unknown };
  if (errors !== undefined || data === undefined) throw new Error(JSON.stringify(errors));
  return data;
}

/** A device, and a connection of it to each bridge, as one has whose credentials were copied. */
async function connectToBoth() {
  const { registerDevice } = await ask<{ registerDevice: { device: { id: string }; credentials: Credentials } }>(
    'mutation { registerDevice(input: { name: "Boiler", typeId: "generic" }) { device { id } credentials { clientId username password } } }',
  );
  const { device, credentials } = registerDevice;
  const connections = await Promise.all(
    cluster.all('bridge').map(({ mqttUrl }) => connectAsync(mqttUrl, { ...credentials, reconnectPeriod: 0 }, false)),
  );
  clients.push(...connections);
  for (const connection of connections) connection.on('error', () => undefined);
  return { id: device.id, connections, credentials };
}

const connectionStates = (connections: readonly MqttClient[]) => connections.map(({ connected }) => connected);

test('a device that was decommissioned is cut off from every bridge, and let in by none', async () => {
  const { id, connections, credentials } = await connectToBoth();
  expect(connectionStates(connections)).toEqual([true, true]);
  await ask(`mutation { decommissionDevice(input: { id: "${id}" }) { device { id } } }`);
  await eventually(() => expect(connectionStates(connections)).toEqual([false, false]));
  for (const { mqttUrl } of cluster.all('bridge'))
    await expect(connectAsync(mqttUrl, { ...credentials, reconnectPeriod: 0 }, false)).rejects.toThrow();
});

test('credentials that were rotated end the connections that the old ones opened, at every bridge', async () => {
  const { id, connections } = await connectToBoth();
  expect(connectionStates(connections)).toEqual([true, true]);
  await ask(`mutation { rotateDeviceCredentials(input: { id: "${id}" }) { credentials { password } } }`);
  await eventually(() => expect(connectionStates(connections)).toEqual([false, false]));
});
