import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../platform/database/migrate.js';
import { createDatabase, type TestDatabase } from '../world/database.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

test('applies nothing to a database that is up to date', async () => {
  expect(await migrate(database.url)).toEqual([]);
});
