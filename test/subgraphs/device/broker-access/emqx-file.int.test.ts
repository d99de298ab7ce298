/** What deploy/emqx makes EMQX ask, filled in as EMQX does, against the device role. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { at, parseHocon } from '../../../deploy/hocon.js';
import { read, root } from '../../../docs/repository.js';
import { createBrokerAccessWorld, secret, type Answer } from './broker-access-world.js';

test('the questions of deploy/emqx are understood, with the headers and at the addresses that start.sh gives', async () => {
  await using world = await createBrokerAccessWorld();
  const file = parseHocon(read('deploy/emqx/emqx.conf'));
  const environment = execFileSync('sh', [join(root, 'deploy/emqx/start.sh'), 'env'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      MQTT_AUTH_SECRET: secret,
      DEVICE_ORIGIN: `http://127.0.0.1:${world.devices.role.port()}`,
    },
    encoding: 'utf8',
  });
  const ask = async (path: string, values: Readonly<Record<string, string>>): Promise<Answer> => {
    const name = `EMQX_${path.toUpperCase().replaceAll('.', '__').replace('__0', '__1')}`;
    const given = (key: string): unknown =>
      JSON.parse(new RegExp(`^${name}__${key}=(.*)$`, 'm').exec(environment)?.[1] ?? 'null');
    // A placeholder that has no value is an empty string.
    const body = JSON.stringify(at(file, `${path}.body`)).replaceAll(
      /\$\{([\w.]+)\}/g,
      (_all, variable: string) => values[variable] ?? '',
    );
    const response = await fetch(given('URL') as string, {
      method: 'POST',
      headers: given('HEADERS') as Record<string, string>,
      body,
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    return (await response.json()) as Answer;
  };
  const device = await world.register();
  const client = { clientid: device.clientId, username: device.username, peerhost: '192.0.2.1', zone: 'default' };
  const login = await ask('authentication.0', { ...client, password: device.password });
  expect(login.result).toBe('allow');
  const certificate = { ...client, zone: 'mtls', cert_common_name: device.clientId };
  expect(await ask('authentication.0', certificate)).toMatchObject({ result: 'allow' });
  expect(await ask('authentication.0', client)).toEqual({ result: 'deny' });

  const attributes = Object.entries(login.client_attrs ?? {}).map(([name, value]) => [`client_attrs.${name}`, value]);
  const connected = { ...client, ...(Object.fromEntries(attributes) as Record<string, string>) };
  const topic = `fleet/acme/${device.clientId}/telemetry`;
  expect(await ask('authorization.sources.0', { ...connected, action: 'publish', topic })).toEqual({ result: 'allow' });
  expect(await ask('authorization.sources.0', { ...connected, action: 'subscribe', topic })).toEqual({
    result: 'deny',
  });
  expect(await ask('authorization.sources.0', { ...client, action: 'publish', topic })).toEqual({ result: 'deny' });
});
