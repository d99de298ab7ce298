/** What `fleetgraph start` prints: where everything is, and lines to paste. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../platform/config/config.js';
import { allScopes } from '../platform/identity/identity.js';
import { createApiClient, type ApiClient } from './api-client.js';
import type { Fleetgraph } from './composition.js';
import { developmentTenant } from './own-gateway.js';

const sampleDevice = z.object({
  deviceId: z.string(),
  clientId: z.string(),
  username: z.string(),
  password: z.string(),
});
type SampleDevice = z.infer<typeof sampleDevice>;

/** The text to print. With the development issuer it has a token, and makes the sample device that its lines speak of. */
export async function banner(options: { fleetgraph: Fleetgraph; config: Config }): Promise<string> {
  const { addresses, issuer } = options.fleetgraph;
  const places = [
    addresses.gateway && ['GraphQL (HTTP, WebSocket)', `${addresses.gateway}/graphql`],
    addresses.gateway && options.config.explorer && ['Explorer', `${addresses.gateway}/explorer`],
    addresses.gateway && ['Apollo Sandbox', `${addresses.gateway}/graphql  (in a browser)`],
    addresses.mqtt && ['MQTT', addresses.mqtt],
    addresses.bridge && ['HTTP ingest', `${addresses.bridge}/ingest/v1/telemetry`],
    ['Health and metrics', `${addresses.operations}/readyz, /metrics`],
  ].filter((place): place is [string, string] => Array.isArray(place));
  const lines = ['', '  fleetgraph is up', '', ...places.map(([what, where]) => `  ${what.padEnd(26)} ${where}`)];
  if (issuer && addresses.gateway && addresses.mqtt) {
    const token = await issuer.issue({
      tenant: developmentTenant,
      subject: 'developer',
      scopes: allScopes,
      lifetimeSeconds: 86_400,
    });
    const api = createApiClient({ url: addresses.gateway, token });
    const device = await openSampleDevice(api, join(options.config.dataDirectory, 'sample-device.json'));
    const { hostname, port } = new URL(addresses.mqtt);
    lines.push(
      '',
      `  A token of tenant ${developmentTenant}, good for a day:`,
      '',
      token,
      '',
      '  Publish as the sample device:',
      '',
      `mosquitto_pub -h ${hostname} -p ${port} -q 1 -i ${device.clientId} -u ${device.username} -P ${device.password} -t fleet/${developmentTenant}/${device.deviceId}/telemetry -m '{"temperature": 21.5}'`,
      '',
      '  and read it back:',
      '',
      `curl -s ${addresses.gateway}/graphql -H 'content-type: application/json' -H 'authorization: Bearer ${token}' -d '{"query":"{ device(id: \\"${device.deviceId}\\") { name state { version metrics { name value at } } presence { online } } }"}'`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** The device of the lines to paste: registered on the first start, its credentials kept in the data directory. */
async function openSampleDevice(api: ApiClient, file: string): Promise<SampleDevice> {
  const kept = sampleDevice.safeParse(JSON.parse(await readFile(file, 'utf8').catch(() => 'null')));
  if (kept.success) {
    const known = await api.request<{ device: { status: string } | null }>(
      'query Sample($id: ID!) { device(id: $id) { status } }',
      { id: kept.data.deviceId },
    );
    if (known.device?.status === 'ACTIVE') return kept.data;
  }
  const data = await api.request<{
    registerDevice: { device: { id: string }; credentials: Omit<SampleDevice, 'deviceId'> };
  }>(
    `mutation { registerDevice(input: { name: "Sample device", typeId: "generic" }) { device { id } credentials { clientId username password } } }`,
  );
  const device = { deviceId: data.registerDevice.device.id, ...data.registerDevice.credentials };
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, JSON.stringify(device), { mode: 0o600 });
  return device;
}
