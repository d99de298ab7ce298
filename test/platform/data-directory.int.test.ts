import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDataDirectory } from '../../platform/embedded/data-directory.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fleetgraph-data-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a directory that a living process holds is refused, naming the process', async () => {
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  try {
    await writeFile(join(directory, 'lock'), String(other.pid));
    await expect(lockDataDirectory(directory)).rejects.toThrow(
      `in use by another fleetgraph (pid ${String(other.pid)})`,
    );
  } finally {
    other.kill('SIGKILL');
  }
});

test('the lock of a process that was killed is taken over', async () => {
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  const exited = new Promise((resolve) => other.once('exit', resolve));
  await writeFile(join(directory, 'lock'), String(other.pid));
  other.kill('SIGKILL');
  await exited;
  const lock = await lockDataDirectory(directory);
  await lock.release();
});

test('a lock that was released can be taken again', async () => {
  await (await lockDataDirectory(directory)).release();
  await (await lockDataDirectory(directory)).release();
});

test('a place that is not a directory is refused with what to do', async () => {
  await writeFile(join(directory, 'file'), '');
  await expect(lockDataDirectory(join(directory, 'file', 'data'))).rejects.toThrow(
    /can't be written .* Set FLEETGRAPH_DATA_DIR/,
  );
});
