/** Scripts of tests in processes of their own, to be killed as a machine would be: without warning. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { within } from './eventually.js';

export interface Child {
  /** What it has printed so far. */
  output(): string;
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when it is gone. May be called twice. */
  kill(): Promise<void>;
}

/** Starts a TypeScript script and waits until it prints something. */
export async function startScript(
  script: URL,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Child> {
  const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  const exited = once(child, 'exit');
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const started = Promise.race([
    once(child.stdout, 'data'),
    exited.then(() => Promise.reject(new Error(`${script.pathname} ended before it had begun: ${output}`))),
  ]);
  await within(started, 30_000, `starting ${script.pathname}`);
  return {
    output: () => output,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
