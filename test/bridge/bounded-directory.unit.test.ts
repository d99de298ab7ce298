/** A directory that is slow or stuck: what is asked of it is answered or given up, and never piles up. */
import { expect, test } from 'vitest';
import type { DeviceDirectory, DeviceProfile } from '../../backbone/devices/device-directory.js';
import { createBoundedDirectory } from '../../bridge/bounded-directory.js';
import { eventually } from '../world/eventually.js';

const profile: DeviceProfile = {
  tenant: 'acme',
  deviceId: 'd',
  typeId: 'generic',
  active: true,
  decoder: 'json',
  metrics: [],
};
const credentials = { clientId: 'd', username: 'd', password: 'secret' };

/** A directory that answers when it is let. */
function heldDirectory() {
  const waiting: (() => void)[] = [];
  const answer = () => new Promise<DeviceProfile>((resolve) => waiting.push(() => resolve(profile)));
  const twin = async (): Promise<undefined> => undefined;
  const directory: DeviceDirectory = { authenticate: answer, find: answer, findByClientId: answer, twin };
  return { directory, waiting, release: () => waiting.splice(0).forEach((resolve) => resolve()) };
}

test('an answer in time is passed on, and so is an error', async () => {
  const bounded = createBoundedDirectory({
    authenticate: async () => profile,
    find: async () => {
      throw new Error('away');
    },
    findByClientId: async () => undefined,
    twin: async () => undefined,
  });
  expect(await bounded.authenticate(credentials)).toEqual(profile);
  await expect(bounded.find('acme', 'd')).rejects.toThrow('away');
});

test('an answer that does not come is given up as UNAVAILABLE', async () => {
  const bounded = createBoundedDirectory(heldDirectory().directory, { deadlineMs: 20 });
  await expect(bounded.authenticate(credentials)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await expect(bounded.find('acme', 'd')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('only so many questions are open, those included that were given up, and room comes back with their answers', async () => {
  const { directory, waiting, release } = heldDirectory();
  const bounded = createBoundedDirectory(directory, { deadlineMs: 20, maxOpen: 3 });
  const asked = await Promise.allSettled(Array.from({ length: 3 }, () => bounded.authenticate(credentials)));
  expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  await expect(bounded.find('acme', 'd')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(waiting).toHaveLength(3);
  release();
  await eventually(async () => {
    const answer = bounded.find('acme', 'd');
    release();
    expect(await answer).toEqual(profile);
  });
});
