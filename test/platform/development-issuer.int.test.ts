/** The key of the development issuer, on a directory that several processes may share. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { openDevelopmentIssuer } from '../../platform/identity/development-issuer.js';

const names = { issuer: 'https://issuer.test', audience: 'fleetgraph' };

async function emptyDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-issuer-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

test('everyone who opens a new directory at once gets the same key', async () => {
  const dataDirectory = await emptyDirectory();
  const opened = await Promise.all(
    Array.from({ length: 16 }, () => openDevelopmentIssuer({ dataDirectory, ...names })),
  );
  expect(new Set(opened.map(({ jwks }) => jwks.keys[0]?.kid)).size).toBe(1);
});

test('whoever looks while the key is being made sees none or all of it', async () => {
  const seen = new Set<string>();
  for (let round = 0; round < 20; round += 1) {
    const dataDirectory = await emptyDirectory();
    const file = join(dataDirectory, 'issuer', 'private-key.json');
    const opening = openDevelopmentIssuer({ dataDirectory, ...names });
    let done = false;
    void opening.finally(() => (done = true));
    while (!done) {
      if (existsSync(file)) seen.add(readFileSync(file, 'utf8') === '' ? 'an empty file' : 'a key');
      await setImmediate();
    }
    await opening;
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ kty: 'EC' });
  }
  expect([...seen]).toEqual(['a key']);
});

test('the key is for its owner alone, and nothing else is left beside it', async () => {
  const dataDirectory = await emptyDirectory();
  await openDevelopmentIssuer({ dataDirectory, ...names });
  expect(await readdir(join(dataDirectory, 'issuer'))).toEqual(['private-key.json']);
  expect((await stat(join(dataDirectory, 'issuer', 'private-key.json'))).mode & 0o777).toBe(0o600);
});
