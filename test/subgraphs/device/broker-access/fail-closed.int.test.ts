/** Whatever goes wrong, nobody gets in. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDeviceWorld } from '../device-world.js';
import { bridge, createBrokerAccessWorld, secret, type BrokerAccessWorld } from './broker-access-world.js';

let world: BrokerAccessWorld;
beforeAll(async () => {
  world = await createBrokerAccessWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const paths = ['/mqtt/authenticate', '/mqtt/authorize'];

test('only who presents the secret is answered, whatever else is wrong with the question', async () => {
  for (const path of paths)
    for (const as of [null, '', 'wrong', secret.slice(0, -1), `${secret}x`, secret.toUpperCase()])
      for (const body of [{ clientid: 'a' }, '{', 'x'.repeat(100_000)]) {
        const response = await world.post(path, body, as);
        expect(response.status).toBe(401);
        expect(await response.json()).toMatchObject({ error: { code: 'UNAUTHENTICATED' } });
      }
});

test('a question that is malformed, of the wrong shape or too large is denied', async () => {
  for (const path of paths)
    for (const body of [
      ...['', '{', 'null', '[]', '"x"', '{"clientid": 7}', '{"clientid": ""}', 'x'.repeat(100_000)],
      ...['{"clientid": {"a": 1}, "username": []}', '{"clientid": "a", "action": "delete", "topic": "t"}'],
      '{"clientid": "nul\\u0000nul", "username": "nul\\u0000nul", "password": "p", "action": "publish", "topic": "t"}',
    ]) {
      const response = await world.post(path, body);
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ result: 'deny' });
    }
});

test('without MQTT_AUTH_SECRET there is nothing to ask', async () => {
  await using other = await createDeviceWorld();
  for (const path of paths) {
    const response = await fetch(`http://127.0.0.1:${other.role.port()}${path}`, { method: 'POST' });
    expect(response.status).toBe(404);
  }
});

test('a role that knows no account of a bridge lets none in', async () => {
  await using other = await createDeviceWorld({ MQTT_AUTH_SECRET: secret, MQTT_USERNAME: bridge.username });
  for (const password of ['', 'undefined', undefined, bridge.password]) {
    const response = await fetch(`http://127.0.0.1:${other.role.port()}/mqtt/authenticate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
      body: JSON.stringify({ clientid: bridge.username, username: bridge.username, password }),
    });
    expect(await response.json()).toEqual({ result: 'deny' });
  }
});

test('while the database does not answer everybody is denied in bounded time, and let in when it is back', async () => {
  const device = await world.register();
  const { client_attrs: attributes } = await world.login(device);
  const topic = `fleet/acme/${device.clientId}/telemetry`;
  const question = { clientid: device.clientId, username: device.username, action: 'publish', topic, ...attributes };
  const client = await world.devices.database.pool.connect();
  try {
    await client.query('BEGIN');
    await client.query('LOCK TABLE device.credentials IN ACCESS EXCLUSIVE MODE');
    const startedAt = performance.now();
    const answers = await Promise.all([world.login(device), world.authorize(question)]);
    expect(answers).toEqual([{ result: 'deny' }, { result: 'deny' }]);
    expect(performance.now() - startedAt).toBeLessThan(4_500);
    // What needs no database is answered all the same.
    expect(
      await world.authenticate({ ...bridge, clientid: 'fleetgraph-bridge-a-0', peerhost: '192.0.2.9' }),
    ).toMatchObject({ result: 'allow' });
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
  expect(await world.login(device)).toMatchObject({ result: 'allow' });
  expect(await world.authorize(question)).toEqual({ result: 'allow' });
});
