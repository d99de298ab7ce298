/** The directory of the embedded parts belongs to one process at a time; a lock file with its pid says which. */
import { access, constants, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf, StartupError } from '../errors.js';

export interface DataDirectoryLock {
  release(): Promise<void>;
}

/**
 * Makes the directory if it isn't there and takes its lock. The lock of a process that is gone is taken over.
 * @throws StartupError when the directory can't be written or a living process holds the lock.
 */
export async function lockDataDirectory(directory: string): Promise<DataDirectoryLock> {
  try {
    await mkdir(directory, { recursive: true });
    await access(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new StartupError(
      `The data directory ${directory} can't be written (${messageOf(error)}). Set FLEETGRAPH_DATA_DIR to one that can.`,
      { cause: error },
    );
  }
  const file = join(directory, 'lock');
  for (;;) {
    try {
      const handle = await open(file, 'wx', 0o644);
      await handle.writeFile(String(process.pid));
      await handle.close();
      return { release: () => rm(file, { force: true }) };
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') {
        throw new StartupError(
          `The data directory ${directory} can't be locked (${messageOf(error)}). Set FLEETGRAPH_DATA_DIR to another one.`,
          { cause: error },
        );
      }
      const holder = await livingHolder(file);
      if (holder !== undefined) {
        throw new StartupError(
          `The data directory ${directory} is in use by another fleetgraph (pid ${holder}). Stop it, or set FLEETGRAPH_DATA_DIR to another directory.`,
          { cause: error },
        );
      }
      await rm(file, { force: true });
    }
  }
}

async function livingHolder(file: string): Promise<number | undefined> {
  const pid = Number(await readFile(file, 'utf8').catch(() => ''));
  // A container gives the same small pids to each new process: our own pid in the file is that of a predecessor.
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid || pid === process.ppid) return undefined;
  try {
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    return codeOf(error) === 'EPERM' ? pid : undefined;
  }
}
