import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  exactJson,
  hasLosslessNumber,
  isBeyondFloat,
  LosslessNumber,
  parseExactJson,
} from '../../../platform/json/exact-json.js';

describe('JSON with exact numbers', () => {
  it('keeps the digits of integers beyond 2^53, wherever they are', () => {
    const text = '{"id":9007199254740993,"list":[-123456789012345678901,1],"small":5}';
    const value = parseExactJson(text);
    expect(value).toEqual({
      id: new LosslessNumber('9007199254740993'),
      list: [new LosslessNumber('-123456789012345678901'), 1],
      small: 5,
    });
    expect(exactJson(value)).toBe(text);
  });

  it.each(['1e400', '-1e400', '[1.5E+999]', ' 1e308'])('does not make null of %s', (text) => {
    expect(exactJson(parseExactJson(text))).toBe(text.includes('e308') ? '1e+308' : text);
  });

  it('tells what is not finite', () => {
    expect(isBeyondFloat(parseExactJson('1e400') as LosslessNumber)).toBe(true);
    expect(isBeyondFloat(parseExactJson('9007199254740993') as LosslessNumber)).toBe(false);
  });

  it('reads everything else as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseExactJson(text)).toEqual(JSON.parse(text));
        expect(hasLosslessNumber(parseExactJson(text))).toBe(false);
      }),
    );
  });

  it('reads what is beside such a number as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
        const text = `{"n":9007199254740993,"value":${JSON.stringify(value)}}`;
        const parsed = parseExactJson(text) as { value: unknown };
        expect(parsed.value).toEqual(JSON.parse(JSON.stringify(value)));
        expect(JSON.parse(exactJson(parsed) ?? '')).toEqual(JSON.parse(text));
      }),
    );
  });

  it('takes the last of two members with one name, and __proto__ as a name like any other', () => {
    const value = parseExactJson('{"a":9007199254740993,"a":1,"__proto__":{"b":9007199254740995}}') as object;
    expect(Object.keys(value)).toEqual(['a', '__proto__']);
    expect(exactJson(value)).toBe('{"a":1,"__proto__":{"b":9007199254740995}}');
  });

  it('takes what JSON.parse takes, and nothing else', () => {
    const piece = fc.constantFrom(
      ...['9007199254740993', '-9007199254740993', '1e400', '09007199254740993', '9007199254740993.', '1', '-', '.5'],
      ...['"', '"9007199254740993"', '"a\\"9007199254740993"', '"\\\\"', '\\', '"a"', '"__proto__"', 'null', 'e', '+'],
      ...['{', '}', '[', ']', ':', ',', ' ', '\n'],
    );
    const text = fc.oneof(
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
      fc.array(piece, { maxLength: 3 }).map((pieces) => `{"a":[9007199254740993,${pieces.join('')}]}`),
      piece.map((name) => `{${name}:9007199254740993}`),
    );
    fc.assert(
      fc.property(text, (json) => {
        expect(plain(outcomeOf(parseExactJson, json))).toEqual(outcomeOf(JSON.parse, json));
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses what is not JSON', () => {
    expect(() => parseExactJson('{"a":9007199254740993')).toThrow(SyntaxError);
    expect(() => parseExactJson('9007199254740993 1')).toThrow(SyntaxError);
  });
});

function outcomeOf(parse: (text: string) => unknown, text: string): unknown {
  try {
    return { value: parse(text) };
  } catch (error) {
    return { fault: (error as Error).message };
  }
}

/** The value with the numbers that JSON.parse makes of it. */
function plain(value: unknown): unknown {
  if (value instanceof LosslessNumber) return Number(value.value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}
