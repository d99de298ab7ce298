/** Which errors of the database come again with the same values, and which another attempt may not meet. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isPermanentDatabaseError } from '../../platform/database/permanent.js';
import { createPrisma } from '../../platform/database/prisma.js';
import { isTransientDatabaseError } from '../../platform/database/transient.js';
import { createDatabase, type TestDatabase } from '../world/database.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
  await database.pool.query(`
    CREATE TABLE public.parent (id int PRIMARY KEY);
    CREATE TABLE public.child (
      id int PRIMARY KEY, parent int REFERENCES public.parent, small int NOT NULL DEFAULT 1 CHECK (small < 10),
      name text);
    CREATE INDEX ON public.child (name);
    CREATE TABLE public.days (day int) PARTITION BY LIST (day);
    INSERT INTO public.child (id) VALUES (1)`);
});
afterAll(() => database[Symbol.asyncDispose]());

const permanent: readonly (readonly [string, string])[] = [
  ['22P02, text that is no number', `SELECT '12x'::int`],
  ['22003, a number out of range', 'SELECT 3000000000::int'],
  ['22P05, U+0000 in JSON', `SELECT '{"a": "\\u0000"}'::jsonb ->> 'a'`],
  ['23502, a value that is missing', 'INSERT INTO public.child (id, small) VALUES (2, null)'],
  ['23514, a check constraint', 'INSERT INTO public.child (id, small) VALUES (2, 11)'],
  [
    '54000, a key that is too long',
    `INSERT INTO public.child (id, name)
     SELECT 2, string_agg(md5(n::text), '') FROM generate_series(1, 1000) n`,
  ],
  [
    '21000, one row twice in one statement',
    `INSERT INTO public.child (id) VALUES (3), (3) ON CONFLICT (id) DO UPDATE SET small = 2`,
  ],
];

const mayPass: readonly (readonly [string, string])[] = [
  ['23503, a row that another refers to', 'INSERT INTO public.child (id, parent) VALUES (2, 7)'],
  ['23505, a key that is taken', 'INSERT INTO public.child (id) VALUES (1)'],
  ['23514, a partition that is not made yet', 'INSERT INTO public.days VALUES (1)'],
  ['42P01, a table that is missing', 'SELECT * FROM public.absent'],
];

test.each(permanent)('permanent: %s', async (name, statement) => {
  const error: unknown = await database.pool.query(statement).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: name.slice(0, 5) });
  expect(isPermanentDatabaseError(error)).toBe(true);
  expect(isPermanentDatabaseError(new Error('The row was not written.', { cause: error }))).toBe(true);
  expect(isTransientDatabaseError(error)).toBe(false);
});

test.each(mayPass)('not permanent: %s', async (name, statement) => {
  const error: unknown = await database.pool.query(statement).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: name.slice(0, 5) });
  expect(isPermanentDatabaseError(error)).toBe(false);
});

test('permanent: what Prisma says of a raw statement', async () => {
  const prisma = createPrisma({ url: database.url, size: 1, applicationName: 'permanent-errors' });
  try {
    const error: unknown = await prisma.$queryRawUnsafe(`SELECT '12x'::int`).catch((cause: unknown) => cause);
    expect(isPermanentDatabaseError(error)).toBe(true);
  } finally {
    await prisma.$disconnect();
  }
});
