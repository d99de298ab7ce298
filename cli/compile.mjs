// Makes JavaScript of the TypeScript in this tree, in the place of it: for the image (Dockerfile), which then starts in half
// the time, in 40 MB less a process, and without a compiler. Types are for `npm run check:types`; here they are only dropped.
// Never run it in a work tree: the sources are removed.
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folders = ['cli', 'platform', 'backbone', 'bridge', 'gateway', 'subgraphs', 'workers', 'prisma/generated'];

if (existsSync(join(root, '.git'))) {
  console.error('This is a work tree, whose sources would be removed. It is for the image: see Dockerfile.');
  process.exit(1);
}
const sources = [];
for (const folder of folders)
  for (const entry of await readdir(join(root, folder), { recursive: true, withFileTypes: true }))
    if (entry.isFile() && entry.name.endsWith('.ts')) sources.push(join(entry.parentPath ?? entry.path, entry.name));
await build({
  entryPoints: sources,
  outdir: root,
  outbase: root,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
});
for (const source of sources) await rm(source);
