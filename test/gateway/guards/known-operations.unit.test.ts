import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readKnownOperations } from '../../../gateway/guards/known-operations.js';
import { StartupError } from '../../../platform/errors.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-operations-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function file(name: string, content: unknown): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

test('a manifest of Apollo, one of Relay, and a directory with both and with texts are read', async () => {
  const format = { format: 'apollo-persisted-query-manifest', version: 1 };
  const apollo = await file('a.json', {
    ...format,
    operations: [{ id: 'a1', name: 'A', type: 'query', body: '{ a }' }],
  });
  const relay = await file('r.json', { r1: '{ r }' });
  await file('t.graphql', '{ t }');
  await file('readme.md', 'no operation');
  expect([...(await readKnownOperations(apollo)).byId]).toEqual([['a1', '{ a }']]);
  expect([...(await readKnownOperations(relay)).byId]).toEqual([['r1', '{ r }']]);
  const all = await readKnownOperations(directory);
  expect([...all.texts].sort()).toEqual(['{ a }', '{ r }', '{ t }']);
  expect([...all.byId.keys()].filter((id) => /^[0-9a-f]{64}$/.test(id))).toHaveLength(1);
});

test.each([
  ['is not there', async () => join(directory, 'nowhere.json'), "can't be read"],
  ['is not JSON', () => file('broken.json', '{'), 'is not JSON'],
  ['is of another kind', () => file('other.json', { operations: [] }), 'neither a manifest of Apollo'],
])('a file that %s is named when the gateway starts', async (_what, path, message) => {
  const reading = readKnownOperations(await path());
  await expect(reading).rejects.toThrow(StartupError);
  await expect(reading).rejects.toThrow(message);
});
