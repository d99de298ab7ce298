/**
 * The real Traefik: TRAEFIK_BIN, or built once from its Go module and kept. Two modules can't be had from a module proxy
 * as Traefik's go.mod names them, so beside go.mod lie `ext` (empty types that its repository has in a module of its own)
 * and a list of DNS providers without entries (they alone bring some hundred modules). Neither is in the way of a request.
 */
import { execFile, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheDirectory, hasServer } from '../real-servers.js';

const traefikVersion = '3.7.10';
const legoVersion = '5.3.1';
const run = promisify(execFile);
const here = fileURLToPath(new URL('.', import.meta.url));
const built = join(
  cacheDirectory(`traefik-${traefikVersion}`),
  process.platform === 'win32' ? 'traefik.exe' : 'traefik',
);

/** Path of the program; undefined when there is none yet. */
export function findTraefik(): string | undefined {
  return process.env['TRAEFIK_BIN'] ?? (existsSync(built) ? built : undefined);
}

/** Whether tests with Traefik can run. */
export function hasTraefik(): boolean {
  return hasServer(
    findTraefik(),
    'Traefik',
    'set TRAEFIK_BIN, or install Go 1.26 and run `npm test`, which builds it.',
  );
}

/** Builds the program unless it is there. Takes minutes the first time. Does nothing without Go. */
export async function buildTraefik(say: (line: string) => void): Promise<void> {
  if (findTraefik() !== undefined || spawnSync('go', ['version']).status !== 0) return;
  say(`building Traefik ${traefikVersion} from its Go module (once; some minutes)`);
  // Beside the place where it belongs, then moved there whole: others may build at the same time.
  const directory = cacheDirectory(`traefik-build-${randomUUID()}`);
  try {
    await mkdir(directory, { recursive: true });
    for (const name of ['go.mod', 'go.sum', 'ext'])
      await cp(join(here, name), join(directory, name), { recursive: true });
    await copyLego(join(directory, 'lego'));
    await run(
      'go',
      ['build', '-trimpath', '-ldflags', '-s -w', '-o', 'traefik', 'github.com/traefik/traefik/v3/cmd/traefik'],
      {
        cwd: directory,
        maxBuffer: 64 * 2 ** 20,
      },
    );
    await mkdir(join(built, '..'), { recursive: true });
    await rename(join(directory, 'traefik'), built);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function copyLego(target: string): Promise<void> {
  const { stdout } = await run('go', ['mod', 'download', '-json', `github.com/go-acme/lego/v5@v${legoVersion}`], {
    cwd: cacheDirectory(''),
  });
  const { Dir: source } = JSON.parse(stdout) as { Dir: string };
  await cp(source, target, { recursive: true });
  // The module cache is read-only, and a copy of it, too.
  await run('chmod', ['-R', 'u+w', target]);
  const providers = join(target, 'providers', 'dns');
  for (const name of await readdir(providers))
    if (name !== 'internal') await rm(join(providers, name), { recursive: true });
  await cp(join(here, 'dns_providers.go.txt'), join(providers, 'dns_providers.go'));
}
