import fc from 'fast-check';
import { Lexer, parse, Source, TokenKind } from 'graphql';
import { expect, test } from 'vitest';
import { textFault } from '../../../gateway/guards/document-text.js';
import { sizeFault, type SizeLimits } from '../../../gateway/guards/operation-size.js';

const none = Number.MAX_SAFE_INTEGER;
const unlimited: SizeLimits = { fields: none, repetitions: none, rootFields: none, aliases: none, directives: none };
const fault = (document: string, limits: Partial<SizeLimits>) =>
  sizeFault(parse(document), { ...unlimited, ...limits });

test.each([
  ['rootFields', 3, '{ a b c }', '{ a b c d }'],
  ['rootFields', 1, 'fragment F on Query { a } { ...F ...F a }', 'fragment F on Query { b } { a ...F }'],
  ['aliases', 2, '{ a: x b { c: y } }', '{ a: x b { c: y d: z } }'],
  ['aliases', 1, '{ ...F } fragment F on Query { a: x }', '{ a { ...F } b { ...F } } fragment F on Query { a: x }'],
  ['directives', 2, '{ a @x @y }', '{ a @x @y @z }'],
  ['directives', 2, 'query @a { ...F @b } fragment F on Q { c }', 'query @a { ...F @b } fragment F on Q { c @d }'],
  ['directives', 1, 'query ($a: Int @x) { b }', 'query ($a: Int @x @y) { b }'],
  ['fields', 4, '{ a { b } c { d } }', '{ a { b } c { d e } }'],
  ['fields', 6, '{ a { ...F } } fragment F on A { b c d e }', '{ a { ...F } b { ...F } } fragment F on A { b c }'],
  ['repetitions', 3, '{ a a a }', '{ a a a a }'],
  ['repetitions', 1, '{ a { b } a { c } }', '{ a { b } a { b } }'],
] as const)('%s: at most %d', (limit, max, good, bad) => {
  expect(fault(good, { [limit]: max })).toBeUndefined();
  expect(fault(bad, { [limit]: max })).toMatch(new RegExp(`more than ${max} `));
});

test('each operation is counted by itself, and all together have a bound', () => {
  const document = Array.from({ length: 10 }, (_unused, index) => `query Q${index} { a b c d }`).join(' ');
  expect(fault(document, { fields: 10 })).toBeUndefined();
  expect(fault(document, { fields: 9 })).toMatch(/more than 36 fields in all/);
});

test('fragments that spread each other twice are counted as far as is allowed, and no further', () => {
  const bomb = `{ ...F0 } ${Array.from({ length: 60 }, (_unused, index) => `fragment F${index} on Q { a { ...F${index + 1} } b { ...F${index + 1} } }`).join(' ')} fragment F60 on Q { c }`;
  expect(fault(bomb, { fields: 5_000 })).toMatch(/more than 5000 fields/);
});

test('fragments in a circle are refused, whether the operation reaches them or not', () => {
  for (const document of [
    '{ ...A } fragment A on Q { ...A }',
    '{ a } fragment A on Q { b { ...B } } fragment B on Q { ... { ...A } }',
  ])
    expect(fault(document, {})).toMatch(/Cannot spread fragment "\w" within itself/);
});

test.each(['__proto__', 'constructor', 'prototype'])('%s is no alias and no variable, but may be a field', (name) => {
  expect(fault(`{ ${name}: a }`, {})).toContain(`"${name}"`);
  expect(fault(`query ($${name}: Int) { a(b: $${name}) }`, {})).toContain(`"${name}"`);
  expect(fault(`{ ${name} }`, {})).toBeUndefined();
});

test('property: a document without fragments has as many fields as are written in it', () => {
  const set: fc.Arbitrary<string> = fc.letrec<{ set: string }>((tie) => ({
    set: fc
      .array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'x: d'), fc.option(tie('set'), { depthSize: 'small' })), {
        minLength: 1,
        maxLength: 4,
      })
      .map((fields) => `{ ${fields.map(([name, below]) => `${name} ${below ?? ''}`).join(' ')} }`),
  })).set;
  fc.assert(
    fc.property(set, (text) => {
      const written = text.match(/[a-d](?= )/g)?.length ?? 0;
      expect(fault(text, { fields: written })).toBeUndefined();
      expect(fault(text, { fields: written - 1 })).toBeDefined();
    }),
  );
});

test('brackets are counted where they are brackets', () => {
  const deep = (count: number) => `${'{ a '.repeat(count)}${'}'.repeat(count)}`;
  expect(textFault(deep(200), 100_000)).toBeUndefined();
  expect(textFault(deep(201), 100_000)).toContain('200 levels');
  expect(textFault(`{ a(b: ${'['.repeat(199)}`, 100_000)).toContain('200 levels');
  const many = '{['.repeat(300);
  expect(
    textFault(`{ a(b: "${many}\\"${many}", c: """${many} \\""" ${many}""") # ${many}\n }`, 100_000),
  ).toBeUndefined();
});

test('tokens are counted before the parser makes anything of them, and never one too many', () => {
  expect(textFault('{ a b c }', 5)).toBeUndefined();
  expect(textFault('{ a b c }', 4)).toContain('more than 4 tokens');
  expect(textFault('{ a(b: "one # { token", c: -1.5e3) ...F }', 13)).toBeUndefined();
  expect(textFault(`{ a } # ${'word '.repeat(100)}`, 3)).toBeUndefined();
  const piece = fc.constantFrom(
    ...[
      'a',
      '_b1',
      '{',
      '}',
      '(',
      ')',
      '[',
      ']',
      ':',
      '!',
      '$',
      '@',
      '|',
      '&',
      '=',
      '...',
      '...F',
      '12',
      '-1.5e+3',
      ',',
    ],
    ...[' ', '\n', '# a comment { a }\n', '"text { a"', '"a\\"b"', '"""block " { a\n}"""', '\ufeff'],
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      // Only a lexer knows; what it refuses has no number of tokens.
      const text = pieces.join(' ');
      const tokens = tokensIn(text);
      fc.pre(tokens !== undefined);
      expect(textFault(text, tokens)).toBeUndefined();
      if (tokens > 0 && !text.includes('...F')) expect(textFault(text, tokens - 1)).toContain('tokens');
    }),
    { numRuns: 500 },
  );
});

/** As graphql-js counts them. */
function tokensIn(text: string): number | undefined {
  const lexer = new Lexer(new Source(text));
  try {
    let count = 0;
    for (let token = lexer.advance(); token.kind !== TokenKind.EOF; token = lexer.advance()) count += 1;
    return count;
  } catch {
    return undefined;
  }
}
