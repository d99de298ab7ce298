/** Answers of subgraphs on a tape: whatever comes is read as JSON.parse reads it, or not at all. */
import fc from 'fast-check';
import { buildSchema } from 'graphql';
import { describe, expect, test } from 'vitest';
import { compileAnswerReader } from '../../../../gateway/execution/tape/answer-reader.js';
import { answerShape } from '../../../../gateway/execution/tape/answer-shape.js';
import { Tape } from '../../../../gateway/execution/tape/tape.js';
import { treeValues } from './tree-values.js';

const schema = buildSchema(`
  scalar Any
  type Query { thing: Thing things: [[Thing]] named: Named }
  interface Named { name: String }
  type Thing implements Named { id: ID name: String size: Float tags: [String] any: Any inner: Thing long_name: Int }
`);
const operation = `{
  thing { ...T inner { id tags } } things { id } named { __typename name ... on Thing { size } }
} fragment T on Thing { __typename id name size tags any long_name }`;
const fields = answerShape(operation, schema);
const readerFor = compileAnswerReader(fields);

/** The data as it was read from the bytes; undefined if it was not. */
function read(text: string | Buffer, tape = new Tape()): unknown {
  const tree = readerFor(tape).fromBytes(Buffer.from(text as string));
  return tree && JSON.parse(JSON.stringify(treeValues(tape, tree)));
}

const leaf = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
);
const thing = (depth: number): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc.constant(null),
    fc.record(
      {
        __typename: fc.constantFrom('Thing', 'Other'),
        id: leaf,
        name: leaf,
        size: leaf,
        tags: fc.oneof(fc.constant(null), fc.array(leaf)),
        any: fc.jsonValue({ maxDepth: 3 }),
        long_name: leaf,
        ...(depth > 0 ? { inner: fc.record({ id: leaf, tags: fc.array(leaf) }, { requiredKeys: [] }) } : {}),
      },
      { requiredKeys: [] },
    ),
  );
const data = fc.record(
  {
    thing: thing(1),
    things: fc.oneof(fc.constant(null), fc.array(fc.array(fc.record({ id: leaf }, { requiredKeys: [] })))),
    named: fc.oneof(fc.constant(null), fc.record({ __typename: fc.constant('Thing'), name: leaf, size: leaf })),
  },
  { requiredKeys: [] },
);
/** Blanks wherever JSON takes them. */
const withBlanks = (value: unknown, blanks: string): string => JSON.stringify(value, null, blanks);

describe('reading an answer', () => {
  test('gives what JSON.parse gives, with blanks or without', () => {
    fc.assert(
      fc.property(data, fc.constantFrom('', ' ', '\t'), (value, blanks) => {
        const text = withBlanks({ data: value, extensions: { a: [1, { b: '}' }] } }, blanks);
        expect(read(text)).toEqual((JSON.parse(text) as { data: unknown }).data);
      }),
    );
  });

  test('gives the same of parsed values', () => {
    fc.assert(
      fc.property(data, (value) => {
        const tape = new Tape();
        const parsed = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
        const tree = readerFor(tape).fromValues(parsed);
        expect(JSON.parse(JSON.stringify(treeValues(tape, tree)))).toEqual(parsed);
      }),
    );
  });

  test('takes nothing that is no JSON, and leaves the tape as it was', () => {
    const text = JSON.stringify({
      data: { thing: { __typename: 'Thing', id: 'é\\"\u0001', size: -1.5e-7, tags: ['a', null], any: { b: [true] } } },
    });
    const random = fc.tuple(
      fc.nat(text.length),
      fc.nat(3),
      fc.constantFrom('', '"', '\\', '{', ']', ',', ':', '0', '.', '\n', 'x'),
    );
    fc.assert(
      fc.property(random, ([at, removed, put]) => {
        const changed = text.slice(0, at) + put + text.slice(at + removed);
        const tape = new Tape();
        const found = read(changed, tape);
        let parsed: unknown;
        try {
          parsed = (JSON.parse(changed) as { data: unknown }).data;
        } catch {
          expect(found).toBeUndefined();
          expect([tape.length, tape.used]).toEqual([0, 0]);
          return;
        }
        // What is valid JSON may be left to the parser, too.
        if (found !== undefined) expect(found).toEqual(JSON.parse(JSON.stringify(parsed)));
      }),
      { numRuns: 3_000 },
    );
  });

  test.each([
    ['errors', '{"data":{"thing":null},"errors":[{"message":"no"}]}'],
    ['errors that are written with escapes', '{"data":{"thing":null},"\\u0065rrors":[{"message":"no"}]}'],
    ['no data', '{"errors":[{"message":"no"}]}'],
    ['data that is null', '{"data":null}'],
    ['members in another order', '{"data":{"things":null,"thing":null}}'],
    ['unknown members', '{"data":{"thing":null,"secret":1}}'],
    ['a scalar in the place of an object', '{"data":{"thing":5}}'],
    ['a type that is no name', '{"data":{"named":{"__typename":"a b"}}}'],
    ['two data', '{"data":{},"data":{}}'],
    ['something after it', '{"data":{}} {}'],
    ['an end that is missing', '{"data":{"thing":{"id":"1"}'],
    ['a line break in a string', '{"data":{"thing":{"id":"a\nb"}}}'],
    ['a number with a leading zero', '{"data":{"thing":{"size":01}}}'],
  ])('leaves %s to the parser', (_name, text) => {
    expect(read(text)).toBeUndefined();
  });

  test('leaves bytes that are no UTF-8 to the parser', () => {
    const bytes = Buffer.from('{"data":{"thing":{"id":"a"}}}');
    bytes[bytes.indexOf('a"}}}')] = 0xe9;
    expect(readerFor(new Tape()).fromBytes(bytes)).toBeUndefined();
  });

  test('keeps the digits of numbers', () => {
    const tape = new Tape();
    const tree = readerFor(tape).fromBytes(Buffer.from('{"data":{"thing":{"id":9007199254740993,"size":1.10}}}'));
    const { id, size } = tree?.['thing'] as Record<string, number>;
    expect([tape.text(id ?? -1), tape.text(size ?? -1)]).toEqual(['9007199254740993', '1.10']);
  });

  test('reads several answers onto one tape, in whatever room that has', () => {
    const tape = new Tape();
    const long = 'x'.repeat(5_000);
    const answers = Array.from({ length: 40 }, (_unused, index) => ({
      thing: { id: `${index}`, name: long, tags: ['a', 'b'] },
    }));
    const trees = answers.map((answer) => readerFor(tape).fromBytes(Buffer.from(JSON.stringify({ data: answer }))));
    expect(trees.map((tree) => JSON.parse(JSON.stringify(treeValues(tape, tree ?? {}))) as unknown)).toEqual(answers);
  });
});
