import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  assertStorableJson,
  isStorableText,
  storableJson,
  storableText,
  type Json,
} from '../../platform/database/storable.js';
import { createDatabase, type TestDatabase } from '../world/database.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

/** Any string of UTF-16 units: with U+0000 and halves of pairs much more often than chance would have them. */
const wildString = fc
  .array(fc.oneof(fc.constantFrom('\u0000', '\uD83D', '\uDE00', '😀'), fc.string({ maxLength: 3 })), { maxLength: 5 })
  .map((parts) => parts.join(''));
const wildJson = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    wildString,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(wildString, tie('value'), { maxKeys: 3 }),
  ),
})).value;

async function accepts(value: Json): Promise<boolean> {
  try {
    await database.pool.query('SELECT $1::jsonb', [JSON.stringify(value)]);
    return true;
  } catch {
    return false;
  }
}

test('PostgreSQL takes whatever was mended', async () => {
  await fc.assert(
    fc.asyncProperty(wildJson, async (value) => {
      expect(await accepts(storableJson(value))).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('the check refuses what PostgreSQL refuses, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(wildJson, async (value) => {
      let refused = false;
      try {
        assertStorableJson(value, 'input.parameters', 32);
      } catch (error) {
        expect(error).toMatchObject({ code: 'BAD_USER_INPUT' });
        refused = true;
      }
      expect(refused).toBe(!(await accepts(value)));
    }),
    { numRuns: 300 },
  );
});

test('what is fine is not touched', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }).filter(isStorableText), (text) => {
      expect(storableText(text)).toBe(text);
      expect(storableJson({ [text]: [text, 1, null, true] })).toEqual({ [text]: [text, 1, null, true] });
    }),
  );
});

test('a text that is too long is cut, never in the middle of a character', () => {
  const cut = storableText('😀'.repeat(10), 8);
  expect(cut.length).toBeLessThanOrEqual(8);
  expect(cut.endsWith('…')).toBe(true);
  expect(isStorableText(cut)).toBe(true);
});

test('nesting deeper than allowed is refused, at it is not', () => {
  const nested = (levels: number): Json => (levels === 0 ? 1 : { a: nested(levels - 1) });
  expect(() => assertStorableJson(nested(32), 'input.parameters', 32)).not.toThrow();
  expect(() => assertStorableJson(nested(33), 'input.parameters', 32)).toThrow('deeper than 32');
});
