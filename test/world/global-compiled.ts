/** Where the run keeps the compiled command line (deployed-cli.ts), which the first test to need it makes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** An empty directory of the run. */
    readonly compiledDirectory: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-compiled-'));
  project.provide('compiledDirectory', directory);
  return () => rm(directory, { recursive: true, force: true });
}
