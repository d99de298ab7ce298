/**
 * Reads an answer of a subgraph into a tape: one pass over its bytes, by functions that are made for the
 * shape of the operation. Members may be missing, and blanks may be anywhere; whatever else is unusual
 * (another order of members, unknown members, errors, text that is no JSON) makes it give up, and the answer
 * is parsed and read by `read-values.ts`, which knows all of it.
 * What it accepts is valid JSON (RFC 8259) in UTF-8, for the bytes go to clients as they are.
 * Text that is made into code is response names alone, which are words, written as JSON or as their bytes.
 */
import { isUtf8 } from 'node:buffer';
import type { JsonObject } from '../json.js';
import type { AnswerField } from './answer-shape.js';
import { scanner } from './scanner-source.js';
import type { Tape } from './tape.js';

/** @returns the tree of `data`; undefined if the answer is not of the usual form. The tape is as before then. */
export type ReadAnswer = (tape: Tape, answer: Buffer) => JsonObject | undefined;

export function compileReader(fields: readonly AnswerField[]): ReadAnswer {
  let made: ReadAnswer | undefined;
  // Many operations are planned for each one that is asked for: code is made when it is first needed.
  return (tape, answer) => (made ??= make(fields))(tape, answer);
}

type Scan = (tape: Tape, start: number) => { readonly data: JsonObject; readonly isAscii: boolean } | undefined;

function make(fields: readonly AnswerField[]): ReadAnswer {
  const functions: string[] = [];
  const root = objectReader(functions, fields, []);
  const source = `"use strict";\n${scanner}\n${functions.join('\n')}\n${envelope(root)}`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see above: made of names that were parsed
  const scan = (new Function(source) as () => Scan)();
  return (tape, answer) => {
    const { length: start, used } = tape;
    // One more for the zero that ends it: no position beyond the answer is looked at.
    tape.reserve(answer.length + 1);
    answer.copy(tape.bytes, start);
    tape.length = start + answer.length;
    tape.bytes[tape.length] = 0;
    const found = scan(tape, start);
    if (found && (found.isAscii || isUtf8(answer))) return found.data;
    tape.length = start;
    tape.used = used;
    return undefined;
  };
}

/** \`{"data": …}\`, with other members but \`errors\`, in any order. */
const envelope = (root: string): string => `
function answer() {
  let data;
  if (b[p] <= 32) blanks();
  if (b[p] !== 123) throw unusual;
  p += 1;
  blanks();
  for (;;) {
    const from = p;
    if (b[p] !== 34) throw unusual;
    string();
    const isData = p - from === 6 && b[from + 1] === 100 && b[from + 2] === 97 && b[from + 3] === 116 && b[from + 4] === 97;
    // "errors", or something that could be that word in escapes.
    if (!isData && (b[from + 1] === 101 && b[from + 2] === 114 || b[from + 1] === 92)) throw unusual;
    colon();
    if (!isData) skip(0);
    else if (b[p] === 123 && data === undefined) data = ${root}();
    else throw unusual;
    if (isLast(125)) break;
  }
  blanks();
  if (p !== tape.length || data === undefined) throw unusual;
  return data;
}
return (given, start) => {
  tape = given;
  b = tape.bytes;
  s = tape.spans;
  n = tape.used;
  p = start;
  high = 0;
  try {
    const data = answer();
    tape.used = n;
    return { data, isAscii: high < 128 };
  } catch (error) {
    if (error !== unusual) throw error;
    return undefined;
  } finally {
    tape = b = s = undefined;
  }
};`;

/** @returns the name of the function that reads an object with these fields, at its brace. */
function objectReader(functions: string[], fields: readonly AnswerField[], more: readonly string[]): string {
  const name = `object${functions.length}`;
  // Its place is taken first: those below it have other numbers.
  const index = functions.push('') - 1;
  let members = '';
  for (const field of fields) {
    // The prototype of what is made; read the long way.
    if (field.name === '__proto__') continue;
    members += `if (${isKeyAt(field.name)}) {
p += ${field.name.length + 2};
if (b[p] === 58 && b[p + 1] > 32) p += 1; else colon();
object[${JSON.stringify(field.name)}] = ${valueReader(functions, field)};
if (b[p] === 44 && b[p + 1] > 32) p += 1; else if (isLast(125)) return object;
}
`;
  }
  const empty = [...new Set([...fields.map((field) => field.name), ...more])]
    .filter((key) => key !== '__proto__')
    .map((key) => `${JSON.stringify(key)}: undefined`)
    .join(', ');
  functions[index] = `function ${name}() {
p += 1;
if (b[p] <= 32) blanks();
const object = { ${empty} };
if (b[p] === 125) { p += 1; return object; }
${members}throw unusual;
}`;
  return name;
}

/** Whether the name stands at the position, in quotation marks. */
function isKeyAt(name: string): string {
  return Array.from(Buffer.from(`"${name}"`), (byte, index) => `b[p + ${index}] === ${byte}`).join(' && ');
}

function valueReader(functions: string[], field: AnswerField): string {
  if (field.fields === undefined) {
    if (field.name === '__typename') return 'isNull() ? null : typename()';
    return field.isList ? 'leaves(0)' : 'leaf()';
  }
  const object = objectReader(functions, field.fields, field.more ?? []);
  const name = `value${functions.length}`;
  functions.push(`function ${name}(depth) {
const c = b[p];
if (c === 123) return ${object}();
if (c === 91) {
if (depth > deepest) throw unusual;
const list = [];
p += 1;
if (b[p] <= 32) blanks();
if (b[p] === 93) { p += 1; return list; }
for (;;) {
list.push(${name}(depth + 1));
if (isLast(93)) return list;
}
}
if (isNull()) return null;
throw unusual;
}`);
  return `${name}(0)`;
}
