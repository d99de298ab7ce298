/** `fleetgraph gateway` as the image has it: compiled, with its default settings. */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, symlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const parts = ['cli', 'platform', 'backbone', 'bridge', 'gateway', 'subgraphs', 'workers', 'prisma', 'package.json'];
const readyDeadlineMs = 60_000;

/** A compiled copy of the program; disposal removes it. */
export interface DeployedProgram extends AsyncDisposable {
  readonly directory: string;
}

export function compileProgram(): DeployedProgram {
  const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-deployed-'));
  for (const part of parts) cpSync(join(root, part), join(directory, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  execFileSync(process.execPath, [join(directory, 'cli/compile.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return { directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

/** Starts it on a free port. @throws Error if it is not up after a minute */
export async function startDeployedGateway(
  { directory }: DeployedProgram,
  supergraphFile: string,
): Promise<AsyncDisposable & { readonly url: string; readonly pid: number }> {
  const child = spawn(
    process.execPath,
    [
      // As its executable sets it.
      '--max-semi-space-size=32',
      ...[join(directory, 'cli/fleetgraph.js'), 'gateway', '--supergraph', supergraphFile, '--port', '0'],
    ],
    { env: { ...process.env, NODE_ENV: 'production', LOG_LEVEL: 'warn' }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error('The gateway is not up after a minute.')), readyDeadlineMs);
    child.once('exit', (code) => reject(new Error(`The gateway ended with code ${String(code)}.`)));
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const found = /is at (http:\S+)/.exec(text)?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    });
  });
  return {
    url,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    },
  };
}
