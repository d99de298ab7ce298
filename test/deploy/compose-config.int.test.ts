/** What `docker compose config` would say, by the library that it is made of. Needs Go; builds in seconds once its modules are there. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../docs/repository.js';
import { hasServer } from '../world/real-servers.js';
import { composeFiles, exampleVariables, roleServices } from './deploy-world.js';

const go = spawnSync('go', ['version']).status === 0 ? 'go' : undefined;
const canBuild = hasServer(
  go,
  'Go, by which the compose files are loaded as Docker does,',
  'install Go 1.24 or newer.',
);

describe.skipIf(!canBuild)('the compose files', () => {
  const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-compose-'));
  const program = join(directory, 'compose-config');
  beforeAll(() => {
    execFileSync('go', ['build', '-o', program, '.'], { cwd: join(root, 'test/deploy/compose-config'), stdio: 'pipe' });
  }, 300_000);
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  const secrets = Object.fromEntries(
    [...exampleVariables()].map(([name, value]) => [name, value === '' && !/URLS?$/.test(name) ? 'secret' : value]),
  );
  const config = (files: readonly string[], env: Record<string, string>) =>
    spawnSync(program, files, { cwd: root, env: { PATH: process.env['PATH'], ...env }, encoding: 'utf8' });
  const servicesOf = (files: readonly string[], profile: string): string[] => {
    const { stdout, stderr } = config(files, { ...secrets, COMPOSE_PROFILES: profile });
    expect(stderr).toBe('');
    return Object.keys((JSON.parse(stdout) as { services: object }).services).sort();
  };
  const infrastructure = ['emqx', 'postgres', 'redpanda', 'traefik'];
  const roles = roleServices().map(({ name }) => name);

  test.each([[[composeFiles[0]]], [[composeFiles[0], composeFiles[2]]]])('%s start everything', (files) => {
    expect(servicesOf(files, 'all')).toEqual([...infrastructure, ...roles].sort());
  });

  test('with the profile infra they start what fleetgraph stands on, and no role', () => {
    expect(servicesOf([composeFiles[0], composeFiles[1]], 'infra')).toEqual(['console', ...infrastructure]);
  });

  test('without a secret they say which, and what to do', () => {
    const { POSTGRES_PASSWORD: _removed, ...others } = secrets;
    const { status, stderr } = config([composeFiles[0]], { ...others, COMPOSE_PROFILES: 'all' });
    expect(status).toBe(1);
    expect(stderr).toContain('POSTGRES_PASSWORD');
    expect(stderr).toContain('.env.example');
  });
});
