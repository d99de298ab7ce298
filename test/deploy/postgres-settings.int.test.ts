/** deploy/postgres/postgresql.conf has settings that PostgreSQL 18 knows, with values that it takes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { read } from '../docs/repository.js';
import { createDatabase, type TestDatabase } from '../world/database.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

const given = [...read('deploy/postgres/postgresql.conf').matchAll(/^(\w+) = '?([^'\n]*)'?$/gm)].map(
  ([, name = '', value = '']) => ({ name, value }),
);

test.each(given)('$name', async ({ name, value }) => {
  const { rows } = await database.pool.query<{
    vartype: string;
    enumvals: string[] | null;
    unit: string | null;
    context: string;
  }>('SELECT vartype, enumvals, unit, context FROM pg_settings WHERE lower(name) = $1', [name]);
  const [setting] = rows;
  expect(setting, 'PostgreSQL knows no such setting').toBeDefined();
  // The PostgreSQL of the tests may be built without lz4, that of the image is not.
  if (setting?.vartype === 'enum' && name !== 'wal_compression') expect(setting.enumvals).toContain(value);
  if (setting?.vartype === 'bool') expect(value).toMatch(/^(on|off)$/);
  if (setting?.vartype === 'integer' || setting?.vartype === 'real')
    expect(value).toMatch(/^[\d.]+(kB|MB|GB|ms|s|min|h)?$/);
  if (setting?.context === 'user') await database.pool.query(`SET ${name} = '${value}'`);
});

test('the file has no line that is neither a comment nor a setting', () => {
  const lines = read('deploy/postgres/postgresql.conf').split('\n');
  expect(lines.filter((line) => line !== '' && !line.startsWith('#'))).toHaveLength(given.length);
});
