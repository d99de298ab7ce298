/** The image without a Docker engine: the build stage of the Dockerfile, carried out in a folder of its own. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { read, root } from '../docs/repository.js';

export interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** Instructions of each stage of the Dockerfile, with continued lines joined. */
export function stagesOf(dockerfile: string): readonly (readonly Instruction[])[] {
  const stages: Instruction[][] = [];
  const lines = dockerfile
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ')
    .split('\n');
  for (const line of lines) {
    const [, name, text] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === undefined || text === undefined) continue;
    if (name === 'FROM') stages.push([]);
    stages.at(-1)?.push({ name, text });
  }
  return stages;
}

/** Variables that the image sets. */
export function imageEnvironment(): Readonly<Record<string, string>> {
  const texts = (stagesOf(read('Dockerfile')).at(-1) ?? [])
    .filter(({ name }) => name === 'ENV')
    .map(({ text }) => text);
  const pairs = texts.flatMap((text) => [...text.matchAll(/(\w+)=(\S+)/g)]);
  return Object.fromEntries(pairs.map(([, name = '', value = '']) => [name, value] as const));
}

export interface ProductionTree {
  readonly directory: string;
  remove(): void;
}

/** Carries out COPY and RUN of the build stage, then takes the right to write away from everyone. */
export function buildProductionTree(): ProductionTree {
  const directory = mkdtempSync(join(tmpdir(), 'fleetgraph-image-'));
  const remove = () => {
    execFileSync('chmod', ['-R', 'u+w', directory]);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const [build = []] = stagesOf(read('Dockerfile'));
    for (const { name, text } of build) {
      if (name === 'COPY') copy(text.split(/\s+/), directory);
      if (name === 'RUN') {
        const env = { ...process.env, NODE_ENV: 'production', npm_config_prefer_offline: 'true' };
        execFileSync('sh', ['-ec', text], { cwd: directory, env, stdio: ['ignore', 'ignore', 'pipe'] });
      }
    }
    execFileSync('chmod', ['-R', 'a-w,a+rX', directory]);
    return { directory, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** As the builder copies: what git has, which is what .dockerignore lets through. */
function copy(words: readonly string[], directory: string): void {
  const sources = words.slice(0, -1);
  const listed = execFileSync('git', ['ls-files', '-z', '-co', '--exclude-standard', '--', ...sources], { cwd: root });
  for (const path of listed.toString().split('\0').filter(Boolean)) {
    const target = join(directory, path);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(join(root, path), target);
    chmodSync(target, path.endsWith('bin.mjs') ? 0o755 : 0o644);
  }
}
