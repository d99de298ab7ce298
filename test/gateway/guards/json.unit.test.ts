import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createJsonParser } from '../../../gateway/guards/json.js';
import { FleetgraphError } from '../../../platform/errors.js';
import { LosslessNumber } from '../../../platform/json/exact-json.js';

const parse = createJsonParser(5);
const refusal = (text: string): string => {
  try {
    parse(text, 'It');
  } catch (error) {
    if (error instanceof FleetgraphError && error.code === 'BAD_USER_INPUT') return error.message;
    throw error;
  }
  return '';
};

test('a text is taken at the limit and refused one level below it', () => {
  expect(parse('[[[[[1]]]]]', 'It')).toEqual([[[[[1]]]]]);
  expect(refusal('[[[[[[1]]]]]]')).toBe('It is nested more than 5 levels deep. Flatten it.');
  expect(refusal('{"a":{"a":{"a":{"a":{"a":{}}}}}}')).toContain('5 levels');
});

test('brackets in strings are none, and side by side is not in each other', () => {
  for (const text of ['["[[[[[[[[\\"[[[["]', '{"[{[{[{[{":"}"}', '[[],[],[],[],[],[],[],[]]', '"\\\\"'])
    expect(parse(text, 'It')).toEqual(JSON.parse(text));
});

test('what never ends is refused without being parsed', () => {
  expect(refusal('['.repeat(1_000_000))).toContain('5 levels');
});

test.each([
  '{"__proto__": {"isAdmin": true}}',
  '{"a": [{"\\u005f_proto__": 1}]}',
  '{"constructor": {"prototype": {"isAdmin": true}}}',
  '{"\\u0063onstructor": {"\\u0070rototype": 1}}',
])('%s is refused by the name of its member', (text) => {
  expect(refusal(text)).toMatch(/"(__proto__|constructor)", a name that is reserved/);
});

test('a word is no member', () => {
  for (const text of ['{"maker": "__proto__"}', '{"constructor": "ACME"}', '["constructor"]'])
    expect(parse(text, 'It')).toEqual(JSON.parse(text));
});

test('property: what JSON takes is taken as it is, unless it is too deep', () => {
  const deepEnough = createJsonParser(100);
  fc.assert(
    fc.property(fc.json({ maxDepth: 4 }), (text) => {
      if (text.includes('__proto__')) return;
      expect(deepEnough(text, 'It')).toEqual(JSON.parse(text));
    }),
  );
});

test('numbers that a JavaScript number cannot hold keep their digits', () => {
  expect(parse('{"id":9007199254740993,"n":1}', 'It')).toEqual({ id: new LosslessNumber('9007199254740993'), n: 1 });
  expect(refusal('{"id":9007199254740993,')).toContain('It is not JSON: ');
  expect(refusal('{"__proto__":{"id":9007199254740993}}')).toContain('a member "__proto__"');
});
