/** Child processes of a benchmark: the platform itself, and the peers it is measured beside. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RoleName } from '../platform/config/config.js';

export interface RunningProcess extends AsyncDisposable {
  /** The first line of its output that is JSON, parsed: what it says of itself when it is up. */
  readonly hello: Readonly<Record<string, string>>;
  readonly pid: number;
  send(message: string): void;
  /** Sends a line, and resolves to the next line of JSON that it answers with. */
  ask(message: string): Promise<Readonly<Record<string, unknown>>>;
}

const readyDeadlineMs = 60_000;

/** Starts a TypeScript program and waits for its line of JSON. */
export async function startProgram(
  file: string,
  options: { args?: readonly string[]; env?: Readonly<Record<string, string>>; nodeFlags?: readonly string[] } = {},
): Promise<RunningProcess> {
  const child = spawn(
    process.execPath,
    [...(options.nodeFlags ?? []), '--import', 'tsx', file, ...(options.args ?? [])],
    {
      env: { ...process.env, NODE_ENV: 'production', ...options.env },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const hello = await firstJsonLine(child, file);
  return {
    hello,
    pid: child.pid ?? 0,
    send: (message) => child.stdin.write(`${message}\n`),
    async ask(message) {
      const answered = new Promise<string>((resolve, reject) => {
        const failed = (code: number | null, signal: string | null): void =>
          reject(new Error(`${file} ended with ${String(code ?? signal)}`));
        child.once('exit', failed);
        child.stdout.once('data', (chunk: Buffer) => {
          child.off('exit', failed);
          resolve(chunk.toString());
        });
      });
      child.stdin.write(`${message}\n`);
      return JSON.parse(await answered) as Readonly<Record<string, unknown>>;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function firstJsonLine(child: ChildProcess, file: string): Promise<Readonly<Record<string, string>>> {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(
      () => reject(new Error(`${file} was not up after ${readyDeadlineMs / 1_000} s`)),
      readyDeadlineMs,
    );
    child.once('exit', (code) => reject(new Error(`${file} ended with code ${String(code)}`)));
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const line = text.split('\n').find((candidate) => candidate.startsWith('{"hello":'));
      if (line === undefined) return;
      clearTimeout(timer);
      resolve((JSON.parse(line) as { hello: Record<string, string> }).hello);
    });
  });
}

export interface RunningPlatform extends RunningProcess {
  readonly gateway: string;
  readonly mqtt: string;
  readonly databaseUrl: string;
  readonly token: string;
  /** Where the CPU profile lies after disposal, if one was asked for. */
  readonly profileDirectory: string;
}

/** As `npm start` sets it. */
const heapFlags = ['--max-semi-space-size=32'];

/** The whole platform with its embedded parts, or these roles of it, in one process, on a new data directory and free ports. */
export async function startPlatformProcess(
  options: { profile?: boolean; roles?: readonly RoleName[]; env?: Readonly<Record<string, string>> } = {},
): Promise<RunningPlatform> {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-bench-'));
  const profileDirectory = join(directory, 'profile');
  const running = await startProgram(new URL('./platform.ts', import.meta.url).pathname, {
    args: options.roles === undefined ? [] : [options.roles.join(',')],
    nodeFlags: [
      ...heapFlags,
      ...(options.profile === true ? ['--cpu-prof', `--cpu-prof-dir=${profileDirectory}`] : []),
    ],
    env: { NODE_ENV: 'development', LOG_LEVEL: 'warn', FLEETGRAPH_DATA_DIR: join(directory, 'data'), ...options.env },
  });
  const { gateway = '', mqtt = '', databaseUrl = '', token = '' } = running.hello;
  return {
    ...running,
    gateway,
    mqtt,
    databaseUrl,
    token,
    profileDirectory,
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      if (options.profile !== true) await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Resident memory of a process in MiB, on Linux; NaN elsewhere. */
export function residentMiB(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;
  } catch {
    return Number.NaN;
  }
}

/** Processor time that a process has had, milliseconds. NaN where there is no /proc. */
export function cpuMsOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return Number.NaN;
  }
}

/** Binds all threads of a process to one core, where `taskset` is there; elsewhere the scheduler decides. */
export function pinToCore(pid: number, core: number): void {
  try {
    execFileSync('taskset', ['-a', '-cp', String(core), String(pid)], { stdio: 'ignore' });
  } catch {
    console.warn('taskset is not there: processes are not bound to cores.');
  }
}
