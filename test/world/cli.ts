/** The command line as a process of its own, for tests of what a user sees and of what survives a kill. */
import { spawn, type ChildProcess } from 'node:child_process';

export interface CliProcess {
  readonly child: ChildProcess;
  /** Everything that it has printed so far, standard output and standard error together. */
  output(): string;
  /** Resolves to the exit code, or the name of the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
}

/** Free ports for every listener, so that runs don't meet. */
export const freePorts: Readonly<Record<string, string>> = Object.fromEntries(
  ['GATEWAY', 'BRIDGE', 'QUERY', 'ACTIONS', 'DEVICE', 'OPERATIONS', 'MQTT'].map((name) => [`${name}_PORT`, '0']),
);

/** Runs `fleetgraph` with `args`, as a work tree has it. */
export function runCli(args: readonly string[], env: Readonly<Record<string, string>>): CliProcess {
  return spawnCli(['--import', 'tsx', 'cli/fleetgraph.ts', ...args], env);
}

/** Runs Node.js with `args`, for which the environment is made as for the command line. */
export function spawnCli(args: readonly string[], env: Readonly<Record<string, string>>): CliProcess {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, NODE_ENV: 'development', LOG_LEVEL: 'warn', NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal ?? -1)),
  );
  return { child, output: () => output, exited };
}
