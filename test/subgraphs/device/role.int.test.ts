import { expect, it } from 'vitest';
import { within } from '../../world/eventually.js';
import { createDeviceWorld } from './device-world.js';
import { credentialsIn, register } from './operations.js';

it('is ready and healthy while it runs, answers what it has begun when it stops, and nothing after', async () => {
  await using world = await createDeviceWorld();
  const origin = new URL(world.url).origin;
  await world.role.ready();
  expect((await fetch(`${origin}/healthz`)).status).toBe(200);
  expect((await fetch(`${origin}/readyz`)).status).toBe(200);
  expect(await (await fetch(`${origin}/metrics`)).text()).toContain('fleetgraph_');

  const reply = await register(world);
  await within(world.role.stop(), 10_000, 'stopping');
  await expect(fetch(`${origin}/healthz`)).rejects.toThrow();
  // The bridge stops after the device role: it must still be able to ask.
  expect(await world.directory.authenticate(credentialsIn(reply))).toMatchObject({ deviceId: reply.device.id });
  await within(world.role.stop(), 10_000, 'stopping again');
});

it('takes a body of a thousand large devices, and refuses one that is larger than it reads', async () => {
  await using world = await createDeviceWorld();
  const post = async (bytes: number): Promise<number> => {
    const response = await fetch(world.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await world.issuer.token('acme')}` },
      body: JSON.stringify({ query: '{ devices { totalCount } }', variables: { padding: 'x'.repeat(bytes) } }),
    });
    await response.arrayBuffer();
    return response.status;
  };
  expect(await post(4_000_000)).toBe(200);
  expect(await post(4_200_000)).toBe(413);
});

it('shows a defect as such, without what it was', async () => {
  await using world = await createDeviceWorld();
  const { device } = await register(world);
  await world.database.pool.query('ALTER TABLE device.device_labels RENAME TO elsewhere');
  const reply = await world.graphql('query Q($id: ID!) { device(id: $id) { id } }', { id: device.id });
  expect(reply.errors).toMatchObject([{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }]);
  expect(JSON.stringify(reply)).not.toMatch(/device_labels|relation|select/i);
});
