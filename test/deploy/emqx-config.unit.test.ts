/** The configuration of EMQX against the code that it asks, and against the settings that it must agree with. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { certificateZone } from '../../subgraphs/device/broker-access/authenticate.js';
import { readAuthentication, readAuthorization } from '../../subgraphs/device/broker-access/broker-request.js';
import { read } from '../docs/repository.js';
import { serviceOf } from './deploy-world.js';

const withoutComments = (path: string): string => read(path).replaceAll(/^\s*#.*$/gm, '');
const main = withoutComments('deploy/emqx/emqx.conf');
const tls = withoutComments('deploy/emqx/base.hocon');

/** Each `body { … }`, with its placeholders as they stand. */
const bodies = [...main.matchAll(/body \{([^]*?)\n {4,6}\}/g)].map(([, body = '']) =>
  Object.fromEntries([...body.matchAll(/(\w+) = "(\$\{[\w.]+\})"/g)].map(([, key = '', value = '']) => [key, value])),
);

test('both questions carry every field that the device role reads', () => {
  const [authentication, authorization] = bodies;
  expect(Object.keys(authentication ?? {}).sort()).toEqual(Object.keys(readAuthentication(authentication)).sort());
  const asked = { ...authorization, action: 'publish' };
  expect(Object.keys(asked).sort()).toEqual(Object.keys(readAuthorization(asked)).sort());
  expect(bodies).toHaveLength(2);
});

test('whatever nobody decides is denied, and nothing denied is acknowledged', () => {
  expect(main).toMatch(/no_match = deny/);
  expect(main).toMatch(/deny_action = disconnect/);
  expect(main).not.toMatch(/type = file/);
});

test('only the listener that verifies certificates is in the zone whose common names count', () => {
  expect(main).not.toMatch(new RegExp(`\\b${certificateZone}\\b`));
  const listeners = tls.split(/^(?=listeners\.)/m).filter((text) => text.startsWith('listeners.'));
  const trusted = listeners.filter((text) => text.includes(`zone = ${certificateZone}`));
  expect(trusted).toHaveLength(1);
  expect(trusted[0]).toMatch(/verify = verify_peer/);
  expect(trusted[0]).toMatch(/fail_if_no_peer_cert = true/);
});

test('braces and brackets are balanced', () => {
  for (const text of [main, tls]) {
    const count = (sign: string) => text.split(sign).length;
    expect(count('{')).toBe(count('}'));
    expect(count('[')).toBe(count(']'));
  }
});

test('no WebSocket listens, and the dashboard listens to its container alone', () => {
  expect(main).toMatch(/listeners\.ws\.default\.enable = false/);
  expect(main).toMatch(/listeners\.wss\.default\.enable = false/);
  expect(main).toMatch(/dashboard\.listeners\.http\.bind = "127\.0\.0\.1:18083"/);
});

const start = (environment: Record<string, string>): string =>
  execFileSync('sh', ['deploy/emqx/start.sh', 'env'], {
    env: { PATH: process.env['PATH'], ...environment },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });

test('EMQX is started with the secret and the address that compose gives', () => {
  const origin = String((serviceOf('emqx').environment as Record<string, string>)['DEVICE_ORIGIN']);
  const lines = start({ MQTT_AUTH_SECRET: 'a-secret-of-the-broker', DEVICE_ORIGIN: origin }).split('\n');
  const headers = '{"content-type": "application/json", "authorization": "Bearer a-secret-of-the-broker"}';
  for (const [place, route] of [
    ['AUTHENTICATION__1', 'authenticate'],
    ['AUTHORIZATION__SOURCES__1', 'authorize'],
  ]) {
    expect(lines).toContain(`EMQX_${place}__HEADERS=${headers}`);
    expect(lines).toContain(`EMQX_${place}__URL="${origin}/mqtt/${route}"`);
    expect(main).toContain(`url = "${origin}/mqtt/${route}"`);
  }
});

test('EMQX is not started without a secret, with a short one, or with one that would break its configuration', () => {
  const origin = { DEVICE_ORIGIN: 'http://device:8083' };
  expect(() => start(origin)).toThrow(/MQTT_AUTH_SECRET/);
  expect(() => start({ ...origin, MQTT_AUTH_SECRET: 'short' })).toThrow(/16 characters/);
  expect(() => start({ ...origin, MQTT_AUTH_SECRET: 'a-secret"}, "x": "of-the-broker' })).toThrow(/letters, digits/);
});
