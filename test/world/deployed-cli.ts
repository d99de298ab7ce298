/** The command line as the image has it: compiled, and without the loader of TypeScript in each process. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import { root } from '../docs/repository.js';
import { spawnCli, type CliProcess } from './cli.js';

const parts = ['cli', 'platform', 'backbone', 'bridge', 'gateway', 'subgraphs', 'workers', 'prisma', 'package.json'];

/** Compiles once a run. Two that begin at once both do it, and one of the results is used. */
function compiledTree(): string {
  const directory = inject('compiledDirectory');
  const tree = join(directory, 'tree');
  if (existsSync(tree)) return tree;
  const making = mkdtempSync(join(directory, 'making-'));
  for (const part of parts) cpSync(join(root, part), join(making, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(making, 'node_modules'));
  execFileSync(process.execPath, [join(making, 'cli/compile.mjs')], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    renameSync(making, tree);
  } catch (error) {
    if (!existsSync(tree)) throw error;
  }
  return tree;
}

/** Runs `fleetgraph` with `args`. */
export function runDeployedCli(args: readonly string[], env: Readonly<Record<string, string>>): CliProcess {
  return spawnCli([join(compiledTree(), 'cli/fleetgraph.js'), ...args], env);
}
