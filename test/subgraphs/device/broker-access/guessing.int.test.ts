/** Whoever guesses passwords through the broker gets few tries, in parallel, too; the device itself gets in. */
import { expect, test } from 'vitest';
import { createBrokerAccessWorld } from './broker-access-world.js';

test('of many guesses in parallel few are looked at; a device at another address gets in meanwhile', async () => {
  await using world = await createBrokerAccessWorld();
  const device = await world.register();
  const guesses = Array.from({ length: 200 }, (_unused, index) =>
    world.login(device, { password: `guess-${index}`, peerhost: '192.0.2.66' }),
  );
  const own = world.login(device, { peerhost: '192.0.2.7' });
  expect(new Set((await Promise.all(guesses)).map(({ result }) => result))).toEqual(new Set(['deny']));
  expect(await own).toMatchObject({ result: 'allow' });
  // Not even with the right password: it is not looked at any more.
  expect(await world.login(device, { peerhost: '192.0.2.66' })).toEqual({ result: 'deny' });
  expect(await world.login(device, { peerhost: '192.0.2.7' })).toMatchObject({ result: 'allow' });
  const other = await world.register();
  expect(await world.login(other, { peerhost: '192.0.2.66' })).toMatchObject({ result: 'allow' });
});
