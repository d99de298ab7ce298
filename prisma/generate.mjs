// Generates Prisma's client. The schema engine, which Prisma would download, is not needed for that: any program that
// can be executed stands in for it (the "prisma-client" generator with a driver adapter has no engine at run time).
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const manifest = createRequire(import.meta.url).resolve('prisma/package.json');
execFileSync(process.execPath, [join(dirname(manifest), 'build', 'index.js'), 'generate'], {
  stdio: ['ignore', 'ignore', 'inherit'],
  env: {
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    ...process.env,
  },
});
