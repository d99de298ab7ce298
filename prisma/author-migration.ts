// `npm run migration -- NAME`: writes the SQL between the migrations and schema.prisma as a new migration.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../platform/embedded/postgres.js';
import { missingSql } from './schema-engine.js';

const name = process.argv[2];
if (name === undefined || !/^[a-z0-9_]+$/.test(name)) {
  process.stderr.write('usage: npm run migration -- NAME (lower case letters, digits and "_")\n');
  process.exit(2);
}
const directory = await mkdtemp(join(tmpdir(), 'fleetgraph-migration-'));
const postgres = await startEmbeddedPostgres({ directory });
try {
  const sql = await missingSql(postgres.url);
  if (sql === undefined) {
    process.stdout.write('schema.prisma and the migrations agree: there is nothing to write.\n');
  } else {
    const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
    const target = join('prisma', 'migrations', `${stamp}_${name}`);
    await mkdir(target);
    await writeFile(join(target, 'migration.sql'), sql);
    process.stdout.write(`Wrote ${target}/migration.sql. Read it before you commit it.\n`);
  }
} finally {
  await postgres.stop();
  await rm(directory, { recursive: true, force: true });
}
